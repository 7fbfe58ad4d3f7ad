//! Clicks that were made elsewhere, under ids of their own.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use postbook_schemas::{
    Fact, Instant, OfferRef, Slug, dedupe,
    envelope::{Draft, Source},
    traffic::{Click, Device},
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{PARAMETER_BYTES_MAX, PARAMETERS_MAX, REFERRER_BYTES_MAX, USER_AGENT_BYTES_MAX, clean};
use crate::{
    directory::Directory,
    intake::{lookup, request::kept_address, scrub},
    secrets::{Caller, Secrets},
    service::Service,
    store::{Append, Appended, StoreError},
};

/// Longest id, in characters.
const ID_LENGTH_MAX: usize = 256;

/// A click made elsewhere, as it is sent. Either `link`, or `offer` and `partner`.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ForeignClick {
    /// Its own id.
    pub click_id: String,
    /// The link that was followed.
    pub link: Option<String>,
    /// The offer, where there was no link.
    pub offer: Option<String>,
    /// The partner, where there was no link.
    pub partner: Option<String>,
    /// When: RFC 3339. When it is recorded, if absent.
    #[schema(value_type = Option<chrono::DateTime<chrono::Utc>>)]
    pub occurred_at: Option<Instant>,
    /// The campaign; the link's if absent.
    pub campaign: Option<String>,
    /// ISO 3166 country.
    pub country: Option<String>,
    /// Class of device; told from the browser's description if absent.
    #[schema(value_type = Option<String>, pattern = "^(desktop|mobile|tablet|bot|unknown)$")]
    pub device: Option<Device>,
    /// The browser's description of itself.
    pub user_agent: Option<String>,
    /// The page that held the link.
    pub referrer: Option<String>,
    /// The visitor's address, which is truncated.
    #[schema(value_type = Option<String>)]
    pub address: Option<IpAddr>,
    /// `utm_*`, `sub1` to `sub5`, `fbclid`, `gclid` and `ttclid` exactly as received.
    pub parameters: BTreeMap<String, String>,
}

/// Why a click cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The field at fault.
    pub field: &'static str,
    /// What is wrong.
    pub detail: &'static str,
    /// Whether the field is missing, rather than wrong.
    pub missing: bool,
}

/// What became of one click.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It is in the log.
    New {
        /// Where; absent if it was only looked at.
        position: Option<u64>,
    },
    /// A click with this id was there already.
    Known {
        /// Where; absent if the first is only looked at too.
        position: Option<u64>,
    },
    /// It cannot be taken.
    Refused(Fault),
}

/// Records clicks made elsewhere, those that can be taken in one group; says for each what became
/// of it. `endpoint` is how their facts name where they came in.
///
/// # Errors
/// The log could not be read or written; then none was recorded.
pub async fn record(
    service: &Service,
    caller: &Caller,
    clicks: Vec<ForeignClick>,
    endpoint: &str,
) -> Result<Vec<Recorded>, StoreError> {
    let directory = service.directory.load_full();
    let now = service.clock.now();
    let mut recorded = Vec::with_capacity(clicks.len());
    let (mut places, mut appends) = (Vec::new(), Vec::new());
    for (place, mut click) in clicks.into_iter().enumerate() {
        clean(service, &mut click);
        if let Some(position) = ours(service, &click.click_id).await? {
            let position = Some(position);
            recorded.push(Recorded::Known { position });
            continue;
        }
        match checked(&directory, caller, now, &click) {
            Ok(placed) => {
                places.push(place);
                appends.push(append(service, caller, click, placed, endpoint));
                recorded.push(Recorded::New { position: None });
            }
            Err(fault) => recorded.push(Recorded::Refused(fault)),
        }
    }
    if appends.is_empty() {
        return Ok(recorded);
    }
    let appended = service.log.append_all(appends.clone()).await?;
    for ((place, append), appended) in places.into_iter().zip(appends).zip(appended) {
        recorded[place] = settled(service, append, appended).await?;
        if matches!(recorded[place], Recorded::New { .. }) {
            service.meters.click();
        }
    }
    Ok(recorded)
}

/// Says what would become of clicks, and keeps nothing.
///
/// # Errors
/// The log could not be read.
pub async fn preview(
    service: &Service,
    caller: &Caller,
    clicks: &[ForeignClick],
) -> Result<Vec<Recorded>, StoreError> {
    let directory = service.directory.load_full();
    let now = service.clock.now();
    let mut seen = BTreeSet::new();
    let mut told = Vec::with_capacity(clicks.len());
    for click in clicks {
        let known = match ours(service, &click.click_id).await? {
            Some(position) => Some(position),
            None => theirs(service, &click.click_id).await?,
        };
        told.push(match (known, checked(&directory, caller, now, click)) {
            (Some(_), _) => Recorded::Known { position: known },
            (None, Err(fault)) => Recorded::Refused(fault),
            (None, Ok(_)) if !seen.insert(&click.click_id) => Recorded::Known { position: None },
            (None, Ok(_)) => Recorded::New { position: None },
        });
    }
    Ok(told)
}

/// Where a click of this id from elsewhere is.
async fn theirs(service: &Service, click_id: &str) -> Result<Option<u64>, StoreError> {
    let click_id = kept_id(&service.secrets, click_id);
    let key = dedupe::foreign_click_key(&click_id);
    let Some(position) = service.log.store().find(&key).await? else {
        return Ok(None);
    };
    let known = lookup::read_fact(service, position).await?;
    Ok(match known.fact {
        Fact::ClickRecorded(click) if click.click_id == click_id => Some(position),
        _ => None,
    })
}

/// Whether a click is new in the log or was there before. A position that is named although it
/// holds another click only looks alike: then the click is appended past it.
async fn settled(
    service: &Service,
    mut append: Append,
    mut appended: Appended,
) -> Result<Recorded, StoreError> {
    loop {
        let position = match appended {
            Appended::At { position, .. } => {
                let position = Some(position);
                return Ok(Recorded::New { position });
            }
            Appended::Known { position } => position,
        };
        let known = lookup::read_fact(service, position).await?;
        let key = match &known.fact {
            Fact::ClickRecorded(click) => Some(dedupe::foreign_click_key(&click.click_id)),
            _ => None,
        };
        if key == append.unique {
            let position = Some(position);
            return Ok(Recorded::Known { position });
        }
        append.not_at.push(position);
        appended = service.append(append.clone()).await?;
    }
}

/// Where the click is whose id was given out here: the id must not come to stand for another.
async fn ours(service: &Service, click_id: &str) -> Result<Option<u64>, StoreError> {
    let store = service.log.store();
    let Some(position) = service.click_ids.decode(click_id) else {
        return Ok(None);
    };
    if position > store.head() {
        return Ok(None);
    }
    let heads = store.clicks(vec![position]).await?;
    let is_click = heads.first().is_some_and(Option::is_some);
    Ok(is_click.then_some(position))
}

struct Placed {
    link: Option<Slug>,
    offer: OfferRef,
    partner: Slug,
    campaign: Option<String>,
}

const fn wrong(field: &'static str, detail: &'static str) -> Fault {
    Fault {
        field,
        detail,
        missing: false,
    }
}

fn checked(
    directory: &Directory,
    caller: &Caller,
    now: Instant,
    click: &ForeignClick,
) -> Result<Placed, Fault> {
    let id = &click.click_id;
    if id.is_empty() {
        return Err(Fault {
            missing: true,
            ..wrong("click_id", "a click needs an id of its own")
        });
    }
    if id.chars().count() > ID_LENGTH_MAX || id.chars().any(char::is_control) {
        return Err(wrong("click_id", "longer than 256 characters, or not text"));
    }
    if click.occurred_at.is_some_and(|at| at > now.plus_days(1)) {
        return Err(wrong("occurred_at", "more than a day ahead"));
    }
    let is_code = |code: &String| code.len() == 2 && code.bytes().all(|b| b.is_ascii_alphabetic());
    if !click.country.as_ref().is_none_or(is_code) {
        return Err(wrong("country", "not two letters of ISO 3166"));
    }
    let unfit = |(name, value): (&String, &String)| {
        !Click::keeps_parameter(name) || value.len() > PARAMETER_BYTES_MAX || value.contains('\0')
    };
    if click.parameters.len() > PARAMETERS_MAX || click.parameters.iter().any(unfit) {
        let detail = "only utm_*, sub1 to sub5, fbclid, gclid and ttclid, of at most 2048 bytes";
        return Err(wrong("parameters", detail));
    }
    let placed = place(directory, click)?;
    if caller.may_report_for(&placed.offer) {
        Ok(placed)
    } else {
        Err(wrong("offer", "the token is not for this offer"))
    }
}

fn place(directory: &Directory, click: &ForeignClick) -> Result<Placed, Fault> {
    if let Some(slug) = &click.link {
        let entry = directory
            .link(slug)
            .ok_or(wrong("link", "there is no such link"))?;
        let link = &entry.link;
        if click
            .offer
            .as_deref()
            .is_some_and(|offer| offer != link.offer.as_str())
        {
            return Err(wrong("offer", "the link belongs to another offer"));
        }
        if click
            .partner
            .as_deref()
            .is_some_and(|partner| partner != link.partner.as_str())
        {
            return Err(wrong("partner", "the link belongs to another partner"));
        }
        return Ok(Placed {
            link: Some(link.slug.clone()),
            offer: link.offer.clone(),
            partner: link.partner.clone(),
            campaign: click.campaign.clone().or_else(|| link.campaign.clone()),
        });
    }
    let (Some(offer), Some(partner)) = (&click.offer, &click.partner) else {
        return Err(Fault {
            missing: true,
            ..wrong("link", "a click needs a link, or an offer and a partner")
        });
    };
    let offer = directory
        .offer(offer)
        .ok_or(wrong("offer", "there is no such offer"))?;
    let partner = directory
        .partner(partner)
        .ok_or(wrong("partner", "there is no such partner"))?;
    Ok(Placed {
        link: None,
        offer: offer.reference(),
        partner: partner.slug.clone(),
        campaign: click.campaign.clone(),
    })
}

fn append(
    service: &Service,
    caller: &Caller,
    click: ForeignClick,
    placed: Placed,
    endpoint: &str,
) -> Append {
    let unique = dedupe::foreign_click_key(&click.click_id);
    let fact = Fact::ClickRecorded(Click {
        click_id: click.click_id,
        link: placed.link,
        offer: placed.offer,
        partner: placed.partner,
        campaign: placed.campaign,
        destination: None,
        country: click.country.map(|code| code.to_ascii_uppercase()),
        device: click.device.unwrap_or_default(),
        user_agent: click
            .user_agent
            .map(|text| scrub::cut(&text, USER_AGENT_BYTES_MAX, &service.secrets)),
        referrer: click
            .referrer
            .map(|text| scrub::cut(&text, REFERRER_BYTES_MAX, &service.secrets)),
        parameters: click.parameters,
    });
    let source = Source {
        endpoint: endpoint.to_owned(),
        address: click.address.map(kept_address),
    };
    let id = service.clock.new_id();
    let actor = Arc::clone(&caller.actor);
    Append {
        draft: Draft::new(id, click.occurred_at, actor, source, &fact),
        unique: Some(unique),
        not_at: Vec::new(),
        references: Vec::new(),
        seat: None,
        with_previous: false,
    }
}

/// Keeps personal data out: of what is only passed on nothing is left; of the id the name under which
/// postbacks that name it find it.
fn clean(service: &Service, click: &mut ForeignClick) {
    let told = |agent: &String| service.devices.class_of(agent);
    click.device = click.device.or(click.user_agent.as_ref().map(told));
    let texts = click.parameters.iter();
    let is_suspect = texts
        .flat_map(|(name, value)| [name, value])
        .any(|text| clean::is_suspect(Some(text)));
    let mut is_found = clean::clean_parameters(&mut click.parameters, is_suspect);
    for text in [
        &mut click.referrer,
        &mut click.campaign,
        &mut click.user_agent,
    ] {
        if let Some(cleaned) = text.as_deref().and_then(clean::cleaned) {
            *text = Some(cleaned);
            is_found = true;
        }
    }
    if let Cow::Owned(name) = kept_id(&service.secrets, &click.click_id) {
        click.click_id = name;
        is_found = true;
    }
    if is_found {
        service.meters.click_redacted();
    }
}

/// The id as it is kept.
fn kept_id<'i>(secrets: &Secrets, id: &'i str) -> Cow<'i, str> {
    if let Some(clean) = scrub::without_secrets(id, secrets) {
        return clean.into();
    }
    if clean::is_suspect(Some(id)) {
        secrets.pseudonyms().id(id)
    } else {
        id.into()
    }
}
