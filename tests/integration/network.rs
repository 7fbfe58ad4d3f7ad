//! The network side of intake over real sockets: slow, many, hostile and encrypted clients.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{body::Body, http::Request};
use postbook::{
    http::{Connected, server},
    intake::rate::Rate,
    secrets::{Role, Scope},
    service::{ForwardedHeader, NetworkLimits, ServerOptions},
    store::{LogStore, memory::MemoryStore},
    tls::Tls,
};
use postbook_schemas::{ClickIdKey, Fact, Outcome};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::oneshot,
    time::{Instant, timeout},
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName},
    },
};

use super::support::{
    app::TestApp,
    faulty_store::{Fault, FaultyStore},
};

const PROGRAMME: &str = include_str!("../data/intake/programme.toml");

/// What nothing here may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// A short time for what is to be cut off.
const SHORT: Duration = Duration::from_millis(200);

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

/// A served app.
struct Served {
    app: TestApp,
    address: SocketAddr,
    /// Stops the server when it is dropped.
    _stop: oneshot::Sender<()>,
}

async fn serve(app: TestApp, options: ServerOptions) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = oneshot::channel::<()>();
    let service = Arc::clone(&app.service);
    tokio::spawn(server::serve(listener, service, options, async move {
        drop(stopped.await);
    }));
    Served {
        app,
        address,
        _stop: stop,
    }
}

async fn served(network: NetworkLimits) -> Served {
    let options = ServerOptions {
        network,
        ..ServerOptions::default()
    };
    serve(TestApp::start(PROGRAMME).await, options).await
}

impl Served {
    async fn connect(&self) -> TcpStream {
        let connected = TcpStream::connect(self.address).await;
        connected.expect("a connection")
    }

    /// Sends and reads until the other side closes.
    async fn exchange(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        send(&mut stream, request).await;
        rest(&mut stream).await
    }

    /// Waits until a metric has a value.
    async fn metric(&self, line: &str) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let shown = self.app.service.meters.render();
            if shown.lines().any(|shown| shown == line) {
                return;
            }
            assert!(Instant::now() < deadline, "no {line} in:\n{shown}");
            tokio::task::yield_now().await;
        }
    }
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), text: &str) {
    let sent = stream.write_all(text.as_bytes()).await;
    sent.expect("the request is sent");
}

/// What comes until the other side closes.
async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut answer = Vec::new();
    let read = timeout(DEADLINE, stream.read_to_end(&mut answer)).await;
    // That it was reset is an end, too.
    drop(read.expect("the connection is closed"));
    String::from_utf8(answer).expect("the answer is text")
}

/// One answer on a connection that stays open.
async fn answer(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut answer = Vec::new();
    loop {
        let read = timeout(DEADLINE, stream.read_buf(&mut answer)).await;
        let count = read.expect("an answer comes").expect("it can be read");
        let text = String::from_utf8_lossy(&answer).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|l| l.strip_prefix("content-length: "));
            if length.is_none_or(|length| length.parse() == Ok(body.len())) {
                return text;
            }
        }
        assert!(count > 0, "closed after {text}");
    }
}

fn post(token: &str, body: &str) -> String {
    format!(
        "POST /postback HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn a_head_that_trickles_in_is_cut_off() {
    let served = served(NetworkLimits {
        head_time: SHORT,
        ..NetworkLimits::default()
    })
    .await;
    let mut stream = served.connect().await;
    send(&mut stream, "GET /healthz HTTP/1.1\r\nHost: ").await;
    let deadline = Instant::now() + DEADLINE;
    let mut byte = [0];
    loop {
        // A byte now and then does not help.
        let gone = stream.write_all(b"x").await.is_err();
        let read = timeout(SHORT / 10, stream.read(&mut byte)).await;
        if gone || read.is_ok() {
            break;
        }
        assert!(Instant::now() < deadline, "it is still open");
    }
    served
        .metric("postbook_connections_cut_total{slow=\"head\"} 1")
        .await;
    served.metric("postbook_connections 0").await;
}

#[tokio::test]
async fn a_connection_that_never_asks_is_cut_off() {
    let served = served(NetworkLimits {
        head_time: SHORT,
        ..NetworkLimits::default()
    })
    .await;
    assert_eq!(rest(&mut served.connect().await).await, "");
}

#[tokio::test]
async fn a_connection_that_has_fallen_silent_is_cut_off() {
    let served = served(NetworkLimits {
        idle_time: SHORT,
        ..NetworkLimits::default()
    })
    .await;
    let mut stream = served.connect().await;
    send(&mut stream, HEALTH).await;
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
    assert_eq!(rest(&mut stream).await, "");
    served
        .metric("postbook_connections_cut_total{slow=\"idle\"} 1")
        .await;
}

#[tokio::test]
async fn a_client_that_reads_no_answers_is_cut_off() {
    let served = served(NetworkLimits {
        head_time: SHORT,
        ..NetworkLimits::default()
    })
    .await;
    let socket = TcpSocket::new_v4().expect("a socket");
    // Little room on the way, so that it is soon full.
    let small = socket.set_recv_buffer_size(4_096);
    small.expect("a buffer can be small");
    let connected = socket.connect(served.address).await;
    let mut stream = connected.expect("a connection");
    let request = "GET /v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n";
    send(&mut stream, &request.repeat(1_000)).await;
    served
        .metric("postbook_connections_cut_total{slow=\"reading\"} 1")
        .await;
}

#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_is_refused_and_kept() {
    let served = served(NetworkLimits {
        body_time: SHORT,
        ..NetworkLimits::default()
    })
    .await;
    let token = served.app.token(Role::Ingest, Scope::All).await;
    let request = format!(
        "POST /postback HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: 100\r\n\r\n{{\"click_id\":"
    );
    let mut stream = served.connect().await;
    send(&mut stream, &request).await;
    let answer = answer(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 422"), "{answer}");
    assert!(answer.contains("did not arrive in time"), "{answer}");
    let Fact::PostbackRejected(rejected) = served.app.last_fact().await.fact else {
        panic!("a rejection is kept");
    };
    assert_eq!(rejected.outcome, Outcome::Malformed);
}

#[tokio::test]
async fn connections_beyond_the_most_are_told_to_come_back_and_then_let_in() {
    for limits in [
        NetworkLimits {
            connections: 2,
            ..NetworkLimits::default()
        },
        NetworkLimits {
            connections_per_address: 2,
            ..NetworkLimits::default()
        },
    ] {
        let served = served(limits).await;
        let mut held = Vec::new();
        for _ in 0..2 {
            let mut stream = served.connect().await;
            send(&mut stream, HEALTH).await;
            answer(&mut stream).await;
            held.push(stream);
        }
        let refused = served.exchange(HEALTH).await;
        assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
        assert!(refused.contains("\r\nretry-after: 1\r\n"), "{refused}");
        assert!(refused.contains("\"code\":\"unavailable\""), "{refused}");
        served.metric("postbook_connections_refused_total 1").await;
        held.pop();
        served.metric("postbook_connections 1").await;
        let mut stream = served.connect().await;
        send(&mut stream, HEALTH).await;
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn heads_are_taken_up_to_64_kib_of_path_and_refused_beyond() {
    let served = served(NetworkLimits::default()).await;
    let get = |query: usize, header: usize| {
        format!(
            "GET /postback?x={} HTTP/1.1\r\nHost: x\r\nX-More: {}\r\nConnection: close\r\n\r\n",
            "x".repeat(query),
            "y".repeat(header)
        )
    };
    let before = served.app.service.log.store().head();
    let taken = served.exchange(&get(64_000, 8_000)).await;
    assert!(taken.starts_with("HTTP/1.1 401"), "{taken}");
    assert_eq!(served.app.service.log.store().head(), before + 1);

    let long = served.exchange(&get(66_000, 0)).await;
    assert!(long.starts_with("HTTP/1.1 414"), "{long}");
    let large = served.exchange(&get(0, 150_000)).await;
    assert!(large.starts_with("HTTP/1.1 431"), "{large}");
    let many = HEALTH.replacen("Host: x\r\n", &"X: y\r\n".repeat(101), 1);
    let many = served.exchange(&many).await;
    assert!(many.starts_with("HTTP/1.1 431"), "{many}");
    served.metric("postbook_heads_too_large_total 3").await;
}

#[tokio::test]
async fn what_is_no_http_is_told_so() {
    let served = served(NetworkLimits::default()).await;
    for garbage in [
        "hello\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{0}\u{5}hello",
    ] {
        let answer = served.exchange(garbage).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        assert!(answer.contains("\"code\":\"bad_request\""), "{answer}");
    }
    let two = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let closing = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answers = served.exchange(&format!("{two}{two}{closing}")).await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3, "{answers}");
}

#[tokio::test]
async fn while_the_log_stalls_postbacks_beyond_the_room_are_to_be_sent_again() {
    let ids = Arc::new(ClickIdKey::new(&[7; 32]));
    let memory: Arc<dyn LogStore> = Arc::new(MemoryStore::new(Arc::clone(&ids)));
    let programme = "[[brand]]\nslug = \"acme\"\n\n[[offer]]\nbrand = \"acme\"\n\
        slug = \"casino\"\ndestination = \"https://acme.example/\"\n";
    let faults = [Fault::None, Fault::None, Fault::Stall];
    let faulty = Arc::new(FaultyStore::new(memory, faults));
    let store = Arc::clone(&faulty) as Arc<dyn LogStore>;
    let options = ServerOptions {
        network: NetworkLimits {
            in_flight_bytes: 15_000,
            ..NetworkLimits::default()
        },
        ..ServerOptions::default()
    };
    let app = TestApp::start_on(programme, options.clone(), |_| ids, |_| store).await;
    let token = app.token(Role::Ingest, Scope::All).await;
    let served = serve(app, options).await;
    let body = |txn: usize| {
        let id = format!("{txn}{}", "x".repeat(200));
        format!("{{\"offer\":\"acme/casino\",\"customer_id\":\"c\",\"txn_id\":\"{id}\"}}")
    };

    // As many as fit wait for the log.
    let mut waiting = Vec::new();
    for txn in 0..3 {
        let mut stream = served.connect().await;
        send(&mut stream, &post(&token, &body(txn))).await;
        waiting.push(stream);
    }
    faulty.stalled().await;
    let deadline = Instant::now() + DEADLINE;
    let refused = loop {
        // Until those before have been read, this one may still fit, and then waits as they do.
        let mut stream = served.connect().await;
        send(&mut stream, &post(&token, &body(3 + waiting.len()))).await;
        match timeout(SHORT, answer(&mut stream)).await {
            Ok(answer) => break answer,
            Err(_) => waiting.push(stream),
        }
        assert!(Instant::now() < deadline, "everything fits");
    };
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.contains("\r\nretry-after: 1\r\n"), "{refused}");
    assert!(waiting.len() <= 4, "{} are held", waiting.len());
    served.metric("postbook_in_flight_refused_total 1").await;

    faulty.release();
    for mut stream in waiting {
        let taken = answer(&mut stream).await;
        assert!(taken.starts_with("HTTP/1.1 200"), "{taken}");
    }
    let mut stream = served.connect().await;
    send(&mut stream, &post(&token, &body(99))).await;
    let taken = answer(&mut stream).await;
    assert!(taken.starts_with("HTTP/1.1 200"), "{taken}");
}

#[tokio::test]
async fn bodies_that_do_not_arrive_take_no_room_from_others() {
    let options = ServerOptions {
        network: NetworkLimits {
            // Less than the bodies that are announced, more than what is here of them.
            in_flight_bytes: 200_000,
            ..NetworkLimits::default()
        },
        ..ServerOptions::default()
    };
    let served = serve(TestApp::start(PROGRAMME).await, options).await;
    let token = served.app.token(Role::Ingest, Scope::All).await;
    let mut announced = Vec::new();
    for _ in 0..20 {
        let mut stream = served.connect().await;
        let head = "POST /postback HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n";
        send(&mut stream, head).await;
        announced.push(stream);
    }
    served.metric("postbook_connections 20").await;
    let mut stream = served.connect().await;
    let body = r#"{"offer":"acme/casino","customer_id":"c"}"#;
    send(&mut stream, &post(&token, body)).await;
    let taken = answer(&mut stream).await;
    assert!(taken.starts_with("HTTP/1.1 200"), "{taken}");
}

#[tokio::test]
async fn a_body_of_v1_that_does_not_arrive_is_given_up() {
    let served = served(NetworkLimits {
        body_time: SHORT,
        ..NetworkLimits::default()
    })
    .await;
    let token = served.app.token(Role::Ingest, Scope::All).await;
    let mut stream = served.connect().await;
    let head = format!(
        "POST /v1/clicks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: 60000\r\n\r\n{{"
    );
    send(&mut stream, &head).await;
    let answer = answer(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
}

/// A certificate for `localhost` with its key, in files.
struct Certificate {
    folder: tempfile::TempDir,
    certificate: CertificateDer<'static>,
}

impl Certificate {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory can be made");
        let certificate = Self::make(&folder);
        Self {
            folder,
            certificate,
        }
    }

    fn make(folder: &tempfile::TempDir) -> CertificateDer<'static> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
        let made = made.expect("a certificate can be made");
        let write = |name, text| std::fs::write(folder.path().join(name), text);
        write("cert.pem", made.cert.pem()).expect("it can be written");
        write("key.pem", made.signing_key.serialize_pem()).expect("it can be written");
        made.cert.der().clone()
    }

    fn load(&self) -> Arc<Tls> {
        let path = |name| self.folder.path().join(name);
        let tls = Tls::load(&path("cert.pem"), &path("key.pem"));
        Arc::new(tls.expect("the files are a certificate and its key"))
    }
}

/// A connection by TLS to a server of which only this certificate is believed.
async fn by_tls(
    served: &Served,
    believed: &CertificateDer<'static>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(believed.clone()).expect("a certificate");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the usual versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(name, served.connect().await).await
}

#[tokio::test]
async fn tls_of_our_own_is_https() {
    let certificate = Certificate::new();
    let app = TestApp::start(PROGRAMME).await;
    let options = ServerOptions {
        tls: Some(certificate.load()),
        ..ServerOptions::default()
    };
    // The offer wants HTTPS, and addresses that the client has not: HTTPS comes first.
    let secret = app.secret("acme/https").await;
    let served = serve(app, options).await;
    let mut stream = by_tls(&served, &certificate.certificate)
        .await
        .expect("a handshake");
    let request = format!(
        "GET /api/postback/acme/https?secret={secret}&customer_id=c HTTP/1.1\r\nHost: localhost\r\n\r\n"
    );
    for _ in 0..2 {
        send(&mut stream, &request).await;
        let answered = answer(&mut stream).await;
        assert!(answered.contains("address_not_allowed"), "{answered}");
    }
    let plain = served.app.anonymous().get("/api/postback/acme/https").await;
    assert_eq!(plain.json()["code"], "insecure_transport");
}

#[tokio::test]
async fn what_is_no_tls_is_sent_away() {
    let certificate = Certificate::new();
    let options = ServerOptions {
        tls: Some(certificate.load()),
        network: NetworkLimits {
            head_time: SHORT,
            ..NetworkLimits::default()
        },
        ..ServerOptions::default()
    };
    let served = serve(TestApp::start(PROGRAMME).await, options).await;
    let plain = served.exchange(HEALTH).await;
    assert!(plain.starts_with("HTTP/1.1 400"), "{plain}");
    assert!(plain.contains("https_required"), "{plain}");

    // A record that holds no handshake; a handshake that ends in the middle.
    for garbage in [
        "\u{16}\u{3}\u{1}\u{0}\u{5}hello",
        "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}",
    ] {
        let mut stream = served.connect().await;
        send(&mut stream, garbage).await;
        let mut alert = Vec::new();
        let read = timeout(DEADLINE, stream.read_to_end(&mut alert)).await;
        drop(read.expect("the connection is closed"));
        assert!(!alert.starts_with(b"HTTP"), "{alert:?}");
    }
    served
        .metric("postbook_tls_handshakes_failed_total 3")
        .await;
    served.metric("postbook_connections 0").await;
}

#[tokio::test]
async fn a_certificate_is_read_again_and_a_broken_one_changes_nothing() {
    let certificate = Certificate::new();
    let tls = certificate.load();
    let options = ServerOptions {
        tls: Some(Arc::clone(&tls)),
        ..ServerOptions::default()
    };
    let served = serve(TestApp::start(PROGRAMME).await, options).await;
    let first = &certificate.certificate;
    assert!(by_tls(&served, first).await.is_ok());

    let path = certificate.folder.path().join("key.pem");
    std::fs::write(&path, "nonsense").expect("it can be written");
    let error = tls.reload().expect_err("there is no key in it").to_string();
    assert!(error.contains("key.pem has no private key"), "{error}");
    assert!(by_tls(&served, first).await.is_ok());

    let second = Certificate::make(&certificate.folder);
    tls.reload().expect("the files are good again");
    assert!(by_tls(&served, &second).await.is_ok());
    assert!(by_tls(&served, first).await.is_err(), "the old one is gone");
}

#[tokio::test]
async fn a_limited_address_comes_back_later_and_costs_a_small_fact_until_then() {
    let app = TestApp::start(PROGRAMME).await;
    let sender = app.as_ingester().await;
    let body = format!(
        "{{\"offer\":\"acme/limited\",\"txn_id\":\"t-1\",\"customer_id\":\"c\",\"metadata\":{{\"x\":\"{}\"}}}}",
        "y".repeat(1_000)
    );
    let first = sender.post_json("/postback", &body).await;
    assert_eq!(first.status, 200, "{}", first.text());
    let second = sender.post_json("/postback?more=1", &body).await;
    assert_eq!(second.status, 429, "{}", second.text());
    assert_eq!(second.headers["retry-after"], "1");
    let fact = app.last_fact().await;
    assert_eq!(second.json()["attempt_id"], fact.id.to_string());
    let Fact::PostbackRejected(rejected) = fact.fact else {
        panic!("a rejection is kept");
    };
    assert_eq!(rejected.outcome, Outcome::RateLimited);
    assert_eq!(rejected.references.txn_id.as_deref(), Some("t-1"));
    let kept = rejected.attempt.request;
    assert_eq!((kept.body, kept.query), (None, None));
    assert_eq!(kept.body_bytes, Some(body.len() as u64));

    app.clock.advance_micros(1_000_000);
    let third = sender.post_json("/postback", &body).await;
    assert_eq!(third.json()["status"], "duplicate", "{}", third.text());
}

#[tokio::test]
async fn behind_a_proxy_each_sender_has_a_limit_of_its_own() {
    let options = ServerOptions {
        trusted_proxies: vec!["10.0.0.0/8".parse().expect("a network")],
        forwarded_header: ForwardedHeader::Forwarded,
        rate_limit_per_address: Some(Rate::new(1, 1)),
        ..ServerOptions::default()
    };
    let app = TestApp::start_with(PROGRAMME, options).await;
    let secret = app.secret("acme/https").await;
    for (forwarded, code) in [
        ("for=192.0.2.1;proto=https", 200),
        ("for=192.0.2.1;proto=https", 429),
        ("for=192.0.2.2;proto=https", 200),
        ("for=192.0.2.3;proto=http", 403),
        // The sender's own words count for nothing.
        ("for=192.0.2.4;proto=https, for=192.0.2.2;proto=https", 429),
        ("for=192.0.2.5;proto=https, for=192.0.2.6;proto=http", 403),
    ] {
        let path = format!("/api/postback/acme/https?secret={secret}&customer_id=c");
        let request = Request::get(path).header("forwarded", forwarded);
        // In a header that is not the chosen one, anything may stand.
        let request = request.header("x-forwarded-for", "192.0.2.99");
        let request = request.header("x-forwarded-proto", "https");
        let mut request = request.body(Body::empty()).expect("a request");
        let proxy = Connected::plain(([10, 0, 0, 1], 1).into());
        request.extensions_mut().insert(proxy);
        let answer = app.send(request).await;
        assert_eq!(
            answer.status.as_u16(),
            code,
            "{forwarded}: {}",
            answer.text()
        );
    }
}

#[tokio::test]
async fn a_limit_of_addresses_counts_whatever_they_ask_for() {
    let options = ServerOptions {
        rate_limit_per_address: Some(Rate::new(1, 4)),
        ..ServerOptions::default()
    };
    let app = TestApp::start_with(PROGRAMME, options).await;
    let sender = app.as_ingester().await;
    let sent = [
        sender.get("/api/postback/acme/nothing").await,
        sender.get("/guessed").await,
        sender.get("/abc").await,
        sender
            .get("/postback?offer=acme/casino&customer_id=c")
            .await,
        sender.get("/abc").await,
        sender
            .get("/postback?offer=acme/casino&customer_id=d")
            .await,
        sender.get("/postback?customer_id=d").await,
        // By precedence: that there is no such offer comes first.
        sender.get("/api/postback/acme/nothing").await,
    ];
    let statuses = sent.map(|answer| answer.status.as_u16());
    assert_eq!(statuses, [404, 404, 302, 200, 429, 429, 404, 404]);
    let anonymous = app.anonymous().get("/postback?customer_id=d").await;
    assert_eq!(anonymous.status, 429, "{}", anonymous.text());
}

#[tokio::test]
async fn a_flood_over_its_limit_is_kept_up_to_a_number_and_then_not_taken() {
    let app = TestApp::start(PROGRAMME).await;
    let sender = app.as_ingester().await;
    let path = "/postback?offer=acme/limited&customer_id=c";
    sender.get(path).await;
    // What is left of the room for such attempts is used up in one go.
    let now = app.service.clock.now();
    while app.service.limits.keeps_another(now) {}
    let before = app.service.log.store().head();
    let beyond = sender.get(path).await;
    assert_eq!(beyond.status, 503, "{}", beyond.text());
    assert_eq!(beyond.headers["retry-after"], "1");
    assert_eq!(app.service.log.store().head(), before);
    let shown = app.service.meters.render();
    assert!(shown.contains("postbook_rate_limited_unkept_total 1\n"));
}

#[tokio::test]
async fn allow_lists_know_both_families_and_addresses_in_disguise() {
    let app = TestApp::start(PROGRAMME).await;
    let secret = app.secret("acme/listed").await;
    for (address, allowed) in [
        ("192.0.2.1", true),
        ("192.0.2.255", true),
        ("192.0.3.0", false),
        ("::ffff:192.0.2.1", true),
        ("::ffff:192.0.3.1", false),
        ("2001:db8::1", true),
        ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", true),
        ("2001:db9::1", false),
        ("::c000:201", false),
        ("127.0.0.1", false),
    ] {
        let path = format!("/api/postback/acme/listed?secret={secret}&customer_id=c");
        let mut request = Request::get(path).body(Body::empty()).expect("a request");
        let ip = address.parse().expect("an address");
        let peer = Connected::plain(SocketAddr::new(ip, 1));
        request.extensions_mut().insert(peer);
        let status = app.send(request).await.status.as_u16();
        assert_eq!(status, if allowed { 200 } else { 403 }, "{address}");
    }
}

/// Some outcomes come before that of the limit: what is kept of them is as little, and as seldom.
#[tokio::test]
async fn what_comes_before_the_limit_is_kept_no_longer_than_what_is_over_it() {
    let options = ServerOptions {
        rate_limit_per_address: Some(Rate::new(1, 1)),
        ..ServerOptions::default()
    };
    let app = TestApp::start_with(PROGRAMME, options).await;
    app.anonymous().get("/guessed").await;
    let (long, id) = ("x".repeat(60_000), "i".repeat(250));
    let requests = || {
        [
            (format!("/api/postback/{long}/y?sub1=x"), 0, 404),
            (
                format!("/api/postback/acme/nothing?txn_id={id}&click_id={id}"),
                0,
                404,
            ),
            (format!("/postback?offer={long}"), 0, 404),
            ("/api/postback/acme/casino".to_owned(), 70_000, 413),
            ("/api/postback/acme/https".to_owned(), 100, 403),
            (
                format!("/api/postback/acme/casino?txn_id={id}&event_id=e"),
                100,
                429,
            ),
        ]
    };
    for (path, body_bytes, code) in requests() {
        let before = app.log_bytes().await.len();
        let answer = app.send(as_stranger(&path, body_bytes)).await;
        assert_eq!(answer.status.as_u16(), code, "{}", answer.text());
        let kept = app.log_bytes().await.len() - before;
        assert!(kept < 1_000, "{code}: {kept} bytes are kept");
    }
    let now = app.service.clock.now();
    while app.service.limits.keeps_another(now) {}
    let before = app.service.log.store().head();
    for (path, body_bytes, _) in requests() {
        let answer = app.send(as_stranger(&path, body_bytes)).await;
        assert_eq!(answer.status, 503, "{}", answer.text());
    }
    assert_eq!(app.service.log.store().head(), before);
}

/// An offer's own limit holds for bodies that are too large as well.
#[tokio::test]
async fn bodies_that_are_too_large_count_against_the_offers_limit() {
    let app = TestApp::start(PROGRAMME).await;
    let path = "/api/postback/acme/limited";
    for most in [8_000, 1_000] {
        let before = app.log_bytes().await.len();
        let answer = app.send(as_stranger(path, 70_000)).await;
        assert_eq!(answer.status, 413, "{}", answer.text());
        let kept = app.log_bytes().await.len() - before;
        assert!(kept < most, "{kept} bytes are kept");
    }
}

#[tokio::test]
async fn of_strangers_long_paths_and_headers_are_cut() {
    let app = TestApp::start(PROGRAMME).await;
    let long = "x ".repeat(20_000);
    let request = Request::post(format!("/api/postback/{}/y", "x".repeat(40_000)))
        .header("content-type", &long)
        .header("idempotency-key", &long);
    let before = app.log_bytes().await.len();
    let answer = app
        .send(request.body(Body::empty()).expect("a request"))
        .await;
    assert_eq!(answer.status, 404, "{}", answer.text());
    let kept = app.log_bytes().await.len() - before;
    assert!(kept < 3_000, "{kept} bytes are kept");
}

/// A request of somebody who shows nothing.
fn as_stranger(path: &str, body_bytes: usize) -> Request<Body> {
    let body = Body::from("y".repeat(body_bytes));
    let request = Request::post(path).header("content-type", "y".repeat(5_000));
    let request = request.header("idempotency-key", "y".repeat(5_000));
    request.body(body).expect("a request")
}
