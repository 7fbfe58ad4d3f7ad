//! A link is followed: the click is kept, then the visitor is sent on.

mod clean;
mod destination;
mod device;
pub mod foreign;
mod route;

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use postbook_schemas::{
    Fact, FactId, Instant,
    configuration::Offer,
    envelope::{Draft, Source},
    traffic::{Click, Device},
};

use self::destination::Macros;
pub(crate) use self::destination::with_click_id;
pub use self::device::Devices;
use super::{fields::pairs, request::kept_address, scrub};
use crate::{
    directory::LinkEntry,
    service::Service,
    store::{Append, Appended, ClickHead, StoreError},
};

/// Stands in the place of the id until the log has given the click its position.
const PLACEHOLDER: &str = "0000000000";

/// Longest texts that are kept, in bytes. A parameter is kept whole or not at all.
const PARAMETER_BYTES_MAX: usize = 2_048;
const PARAMETERS_MAX: usize = 32;
const USER_AGENT_BYTES_MAX: usize = 512;
const REFERRER_BYTES_MAX: usize = 1_024;

/// One request for a link.
#[derive(Clone, Copy, Debug)]
pub struct Visit<'a> {
    /// The slug in the path.
    pub slug: &'a str,
    /// The query as sent.
    pub query: Option<&'a str>,
    /// The browser's description of itself.
    pub user_agent: Option<&'a str>,
    /// The page that held the link.
    pub referrer: Option<&'a str>,
    /// The visitor's country, as a trusted proxy says.
    pub country: Option<[u8; 2]>,
    /// The visitor's address.
    pub address: IpAddr,
}

/// Follows a link: keeps the click and says where to send the visitor; `None` if there is no such
/// link.
///
/// # Errors
/// The click could not be kept.
pub async fn follow(service: &Service, visit: Visit<'_>) -> Result<Option<String>, StoreError> {
    let directory = service.directory.load();
    let Some(entry) = directory.link(visit.slug).map(Arc::clone) else {
        return Ok(None);
    };
    let Some(offer) = directory.offer(entry.link.offer.as_str()).map(Arc::clone) else {
        return Ok(None);
    };
    drop(directory);
    let now = service.clock.now();
    let id = service.clock.new_id();
    let Followed {
        click,
        destination,
        is_redacted,
    } = click(service, &visit, &entry, &offer, now, id);
    let seat = ClickHead {
        link_position: entry.position,
        occurred_at: now,
        country: visit.country,
        device: click.device,
    };
    let appended = service.append(append(&visit, id, now, click, seat)).await?;
    let Appended::At {
        click_id: Some(click_id),
        ..
    } = appended
    else {
        return Err(StoreError::Closed(
            "a click was given no id, which is a bug",
        ));
    };
    service.meters.click();
    if is_redacted {
        service.meters.click_redacted();
    }
    Ok(Some(with_click_id(
        &destination,
        &offer.click_param,
        click_id.as_str(),
    )))
}

/// Where a link leads now, without a click being kept; `None` if there is no such link.
pub fn look(service: &Service, visit: &Visit<'_>) -> Option<String> {
    let directory = service.directory.load();
    let entry = directory.link(visit.slug)?;
    let offer = directory.offer(entry.link.offer.as_str())?;
    let id = service.clock.new_id();
    let followed = click(service, visit, entry, offer, service.clock.now(), id);
    Some(destination::without_click_id(&followed.destination))
}

/// What comes of following a link.
struct Followed {
    /// The click as it is kept.
    click: Click,
    /// Where the visitor is sent, with what it brought: that is between the link's owner and the
    /// destination's. What is kept of it is without personal data.
    destination: String,
    is_redacted: bool,
}

fn click(
    service: &Service,
    visit: &Visit<'_>,
    entry: &LinkEntry,
    offer: &Offer,
    now: Instant,
    id: FactId,
) -> Followed {
    let link = &entry.link;
    let device = visit
        .user_agent
        .map_or(Device::Unknown, |agent| service.devices.class_of(agent));
    let country = visit
        .country
        .and_then(|letters| String::from_utf8(letters.to_vec()).ok());
    let mut parameters = kept_parameters(visit.query.unwrap_or(""));
    let routed = route::choose(
        &offer.routes,
        &route::Visitor {
            country: country.as_deref(),
            device,
            now,
            draw: route::draw(id),
        },
    );
    let template = routed
        .or(link.destination.as_deref())
        .unwrap_or(&offer.destination);
    let filled = |parameters: &BTreeMap<String, String>| {
        let macros = Macros {
            link,
            parameters,
            country: country.as_deref(),
            device,
        };
        macros.fill(template)
    };
    let destination = filled(&parameters);
    let mut kept_destination = None;
    let referrer = visit.referrer.and_then(clean::cleaned);
    let user_agent = visit.user_agent.and_then(clean::cleaned);
    let mut is_redacted = referrer.is_some() || user_agent.is_some();
    if !parameters.is_empty()
        && clean::clean_parameters(&mut parameters, clean::is_suspect(visit.query))
    {
        kept_destination = Some(filled(&parameters));
        is_redacted = true;
    }
    let click = Click {
        click_id: PLACEHOLDER.to_owned(),
        link: Some(link.slug.clone()),
        offer: link.offer.clone(),
        partner: link.partner.clone(),
        campaign: link.campaign.clone(),
        destination: Some(kept_destination.unwrap_or_else(|| destination.clone())),
        country,
        device,
        user_agent: user_agent
            .as_deref()
            .or(visit.user_agent)
            .map(|text| scrub::cut(text, USER_AGENT_BYTES_MAX, &service.secrets)),
        referrer: referrer
            .as_deref()
            .or(visit.referrer)
            .map(|text| scrub::cut(text, REFERRER_BYTES_MAX, &service.secrets)),
        parameters,
    };
    Followed {
        click,
        destination,
        is_redacted,
    }
}

fn append(visit: &Visit<'_>, id: FactId, now: Instant, click: Click, seat: ClickHead) -> Append {
    let source = Source {
        endpoint: "/{slug}".to_owned(),
        address: Some(kept_address(visit.address)),
    };
    Append {
        draft: Draft::new(
            id,
            Some(now),
            visitor(),
            source,
            &Fact::ClickRecorded(click),
        ),
        unique: None,
        not_at: Vec::new(),
        references: Vec::new(),
        seat: Some(seat),
        with_previous: false,
    }
}

fn visitor() -> Arc<str> {
    static VISITOR: std::sync::LazyLock<Arc<str>> = std::sync::LazyLock::new(|| "visitor".into());
    Arc::clone(&VISITOR)
}

/// The parameters that are kept, decoded once. A name that is repeated keeps its first value; one
/// that cannot be decoded stays as it was sent.
fn kept_parameters(query: &str) -> BTreeMap<String, String> {
    let mut kept = BTreeMap::new();
    for (name, value) in pairs::split(query) {
        if !Click::keeps_parameter(name) || value.is_empty() || kept.len() >= PARAMETERS_MAX {
            continue;
        }
        let value = pairs::decode(value).unwrap_or(value.into());
        if value.len() <= PARAMETER_BYTES_MAX && !value.contains('\0') {
            kept.entry(name.to_owned())
                .or_insert_with(|| value.into_owned());
        }
    }
    kept
}
