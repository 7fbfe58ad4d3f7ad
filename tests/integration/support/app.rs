//! A whole service for tests: its own log, a clock that stands still, and callers in their roles.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{HeaderMap, Request, StatusCode, header},
};
use http_body_util::BodyExt;
use postbook::{
    clock::{Clock, ManualClock},
    http::{Connected, door::Door},
    projector::lease,
    secrets::{Role, Scope, Secrets},
    service::{ServerOptions, Service},
    store::{Append, Filter, LogStore, memory::MemoryStore},
    tables::{Tables, location::Location},
};
use postbook_schemas::{
    ClickIdKey, Envelope, Fact, Instant, OfferRef,
    configuration::TermsPublished,
    envelope::{Draft, Source},
    programme::Programme,
};

use super::postgres::Schema;

/// When tests begin, on the service's clock.
pub(crate) const NOW: &str = "2026-06-15T12:00:00Z";

/// A whole service.
pub(crate) struct TestApp {
    pub(crate) service: Arc<Service>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) door: Door,
    /// Held until the test ends: the directory goes with it.
    data: tempfile::TempDir,
    /// Likewise: where the read models are, if not in the directory.
    _schema: Option<Schema>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answered {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("answers are UTF-8")
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the answer is JSON")
    }

    pub(crate) fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Somebody who sends requests to the app.
pub(crate) struct Sender<'a> {
    app: &'a TestApp,
    token: Option<String>,
}

impl TestApp {
    /// A service on a log in memory, with this programme.
    pub(crate) async fn start(programme: &str) -> Self {
        Self::start_with(programme, ServerOptions::default()).await
    }

    pub(crate) async fn start_with(programme: &str, options: ServerOptions) -> Self {
        let ids = |secrets: &Secrets| Arc::new(ClickIdKey::new(secrets.click_id_key()));
        Self::start_on(programme, options, ids, |ids| {
            Arc::new(MemoryStore::new(ids))
        })
        .await
    }

    /// A service on the log that `store` makes.
    pub(crate) async fn start_on(
        programme: &str,
        options: ServerOptions,
        ids: impl FnOnce(&Secrets) -> Arc<ClickIdKey>,
        store: impl FnOnce(Arc<ClickIdKey>) -> Arc<dyn LogStore>,
    ) -> Self {
        Self::start_seeded(1, programme, options, ids, store).await
    }

    /// As [`Self::start_on`], with ids from another seed than those of another node.
    pub(crate) async fn start_seeded(
        seed: u64,
        programme: &str,
        options: ServerOptions,
        ids: impl FnOnce(&Secrets) -> Arc<ClickIdKey>,
        store: impl FnOnce(Arc<ClickIdKey>) -> Arc<dyn LogStore>,
    ) -> Self {
        let data = tempfile::tempdir().expect("a temporary directory can be made");
        let now = Instant::parse_rfc3339(NOW).expect("a time");
        let clock = Arc::new(ManualClock::new(now, seed));
        let secrets = Secrets::open(data.path()).await.expect("secrets open");
        let schema = shared_read_models().await;
        let location = match &schema {
            Some(schema) => schema.read_models(),
            None => Location::Directory(data.path().to_owned()),
        };
        let tables = Tables::open_at(&location, data.path()).await;
        let tables = tables.expect("tables open");
        let click_ids = ids(&secrets);
        let store = store(Arc::clone(&click_ids));
        let shared: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
        let service = Service::assemble(shared, store, click_ids, secrets, tables)
            .await
            .expect("an empty log can be read");
        let service = Arc::new(service);
        let app = Self {
            door: Door::new(Arc::clone(&service), options),
            service,
            clock,
            data,
            _schema: schema,
        };
        app.projects().await;
        app.apply(programme).await;
        app
    }

    /// Waits until it writes the read models: where others could it asks for their lease first.
    async fn projects(&self) {
        let waiting = async {
            while !matches!(self.service.projector.role(), lease::Role::Projecting(_)) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let projects = tokio::time::timeout(Duration::from_secs(20), waiting).await;
        projects.expect("nobody else has the lease");
    }

    /// Another node on the same log, with read models in this schema.
    pub(crate) async fn beside(&self, schema: Schema) -> Self {
        let location = schema.read_models();
        self.beside_at(&location, schema).await
    }

    /// The same, which goes to its schema another way.
    pub(crate) async fn beside_at(&self, location: &Location, schema: Schema) -> Self {
        let data = tempfile::tempdir().expect("a temporary directory can be made");
        let clock = Arc::new(ManualClock::new(self.clock.now(), 2));
        let secrets = Secrets::open(self.data()).await.expect("secrets open");
        let tables = Tables::open_at(location, data.path()).await;
        let shared: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
        let service = Service::assemble(
            shared,
            Arc::clone(self.service.log.store()),
            Arc::clone(&self.service.click_ids),
            secrets,
            tables.expect("tables open"),
        )
        .await
        .expect("the log can be read");
        let service = Arc::new(service);
        Self {
            door: Door::new(Arc::clone(&service), ServerOptions::default()),
            service,
            clock,
            data,
            _schema: Some(schema),
        }
    }

    /// The data directory.
    pub(crate) fn data(&self) -> &std::path::Path {
        self.data.path()
    }

    /// Appends a programme file's facts.
    pub(crate) async fn apply(&self, programme: &str) {
        let programme = Programme::parse(programme).expect("the programme can be read");
        let mut facts: Vec<Fact> = Vec::new();
        facts.extend(programme.brands.into_iter().map(Fact::BrandDefined));
        facts.extend(programme.offers.into_iter().map(Fact::OfferDefined));
        facts.extend(programme.partners.into_iter().map(Fact::PartnerDefined));
        facts.extend(programme.links.into_iter().map(Fact::LinkDefined));
        facts.extend(programme.coupons.into_iter().map(Fact::CouponDefined));
        let mappings = programme.mappings.into_iter();
        facts.extend(mappings.map(|mapping| Fact::MappingDefined(mapping.with_preset())));
        facts.extend(programme.fx_rates.into_iter().map(Fact::FxRateRecorded));
        for (number, terms) in programme.terms.into_iter().enumerate() {
            let version = format!("t-{number}");
            facts.push(Fact::TermsPublished(TermsPublished { version, terms }));
        }
        for fact in facts {
            self.append(&fact).await;
        }
        let refreshed = self.service.refresh_directory().await;
        refreshed.expect("the programme can be read back");
    }

    /// Appends a fact as the service itself would.
    pub(crate) async fn append(&self, fact: &Fact) {
        let id = self.service.clock.new_id();
        let draft = Draft::new(id, None, "test".into(), Source::default(), fact);
        let append = Append {
            draft,
            unique: None,
            not_at: Vec::new(),
            references: Vec::new(),
            seat: None,
            with_previous: false,
        };
        self.service.append(append).await.expect("the fact is kept");
    }

    /// A new token in plain text.
    pub(crate) async fn token(&self, role: Role, scope: Scope) -> String {
        let now = self.service.clock.now();
        let secrets = &self.service.secrets;
        let made = secrets.create_token(role, role.code(), scope, now).await;
        made.expect("a token can be made").1.reveal().to_owned()
    }

    /// A new secret of an offer in plain text; the one before stays valid for an hour.
    pub(crate) async fn secret(&self, offer: &str) -> String {
        let offer = OfferRef::try_new(offer).expect("an offer");
        let now = self.service.clock.now();
        let hour = 3_600_000_000;
        let made = self.service.secrets.rotate_offer_secret(&offer, hour, now);
        let (_, plain) = made.await.expect("a secret can be made");
        plain.reveal().to_owned()
    }

    pub(crate) fn anonymous(&self) -> Sender<'_> {
        Sender {
            app: self,
            token: None,
        }
    }

    /// Somebody with this token.
    pub(crate) fn with_token(&self, token: String) -> Sender<'_> {
        Sender {
            app: self,
            token: Some(token),
        }
    }

    /// Somebody with a token of this role for everything.
    pub(crate) async fn as_role(&self, role: Role) -> Sender<'_> {
        Sender {
            app: self,
            token: Some(self.token(role, Scope::All).await),
        }
    }

    pub(crate) async fn as_ingester(&self) -> Sender<'_> {
        self.as_role(Role::Ingest).await
    }

    /// Follows a link and returns where it leads.
    pub(crate) async fn click_location(&self, link: &str) -> String {
        let answer = self.anonymous().get(link).await;
        assert_eq!(answer.status, StatusCode::FOUND, "{}", answer.text());
        let location = answer.header(header::LOCATION);
        location.expect("a location").to_owned()
    }

    /// Follows a link and returns the click id that the destination was handed.
    pub(crate) async fn click(&self, link: &str) -> String {
        let location = self.click_location(link).await;
        let (_, id) = location.rsplit_once("cid=").expect("a click id");
        id.to_owned()
    }

    /// The last fact.
    pub(crate) async fn last_fact(&self) -> Envelope {
        let store = self.service.log.store();
        let line = store.read_one(store.head()).await.expect("it can be read");
        Envelope::decode(&line.expect("it is there")).expect("it is a fact")
    }

    /// Builds the read models again from nothing: the same must come out.
    pub(crate) async fn assert_rebuilds_alike(&self) {
        let control = postbook::projector::Control::default();
        let rebuilt = self.service.projector.rebuild(&control).await;
        assert!(rebuilt.expect("it can be rebuilt").is_identical());
    }

    /// The kept bytes of the whole log.
    pub(crate) async fn log_bytes(&self) -> Vec<u8> {
        let store = self.service.log.store();
        let page = store.read(1, store.head(), Filter::ALL, usize::MAX >> 1);
        page.await.expect("the log can be read").bytes
    }

    /// Sends a request in-process: from the [`Connected`] among its extensions, else 127.0.0.1.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answered {
        let given = request.extensions().get::<Connected>().copied();
        let local = || Connected::plain(([127, 0, 0, 1], 40_000).into());
        let connected = given.unwrap_or_else(local);
        let response = self.door.answer(request, connected).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("the answer can be read");
        Answered {
            status: parts.status,
            headers: parts.headers,
            body: body.to_bytes().to_vec(),
        }
    }
}

/// A schema for the read models, if all tests are to have them on a server: `postgres` in
/// `POSTBOOK_TEST_PROJECTIONS`.
#[expect(clippy::disallowed_methods, reason = "tests have no command line")]
async fn shared_read_models() -> Option<Schema> {
    match std::env::var("POSTBOOK_TEST_PROJECTIONS").as_deref() {
        Ok("postgres") => Some(Schema::make().await.expect("TEST_POSTGRES_URL is set")),
        _ => None,
    }
}

impl Sender<'_> {
    /// A request with this sender's token.
    pub(crate) fn request(&self, method: &str, path: &str) -> axum::http::request::Builder {
        let request = Request::builder().method(method).uri(path);
        match &self.token {
            Some(token) => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answered {
        let request = self.request("GET", path).body(Body::empty());
        self.app.send(request.expect("a request")).await
    }

    pub(crate) async fn post_json(&self, path: &str, body: &str) -> Answered {
        self.post(path, "application/json", body.as_bytes()).await
    }

    pub(crate) async fn post(&self, path: &str, content_type: &str, body: &[u8]) -> Answered {
        let request = self
            .request("POST", path)
            .header(header::CONTENT_TYPE, content_type)
            .body(Body::from(body.to_vec()));
        self.app.send(request.expect("a request")).await
    }
}
