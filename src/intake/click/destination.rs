//! The address a visitor is sent to: macros filled in, the click id added.

use std::{borrow::Cow, collections::BTreeMap};

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use postbook_schemas::{configuration::Link, traffic::Device};

const CLICK_ID: &str = "{click_id}";

/// All but what never needs encoding in a URL.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// What cannot stand in a header, or would break one; the rest of a destination stays as written.
const UNSAFE: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'\\');

/// What macros stand for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Macros<'a> {
    pub(super) link: &'a Link,
    pub(super) parameters: &'a BTreeMap<String, String>,
    pub(super) country: Option<&'a str>,
    pub(super) device: Device,
}

impl Macros<'_> {
    /// A destination with all macros filled in but the click id, which is not known yet. What is
    /// in braces and no macro stays as written.
    pub(super) fn fill(&self, template: &str) -> String {
        let mut filled = String::with_capacity(template.len() + 32);
        let mut rest = template;
        while let Some(start) = rest.find('{') {
            let (before, from) = rest.split_at(start);
            filled.extend(utf8_percent_encode(before, UNSAFE));
            let end = from.find('}').map_or(from.len(), |end| end + 1);
            let (found, after) = from.split_at(end);
            match self.value(found) {
                Some(value) => filled.extend(utf8_percent_encode(&value, VALUE)),
                None => filled.extend(utf8_percent_encode(found, UNSAFE)),
            }
            rest = after;
        }
        filled.extend(utf8_percent_encode(rest, UNSAFE));
        filled
    }

    fn value(&self, found: &str) -> Option<Cow<'_, str>> {
        let parameter = |name: &str| self.parameters.get(name).map_or("", String::as_str);
        let name = found.strip_prefix('{')?.strip_suffix('}')?;
        Some(Cow::Borrowed(match name {
            "sub1" | "sub2" | "sub3" | "sub4" | "sub5" => parameter(name),
            "campaign" => match &self.link.campaign {
                Some(campaign) => campaign,
                None => parameter("utm_campaign"),
            },
            "source" => parameter("utm_source"),
            "geo" => self.country.unwrap_or(""),
            "device" => self.device.code(),
            "partner" => self.link.partner.as_str(),
            "offer" => self.link.offer.slug(),
            _ => return None,
        }))
    }
}

/// A destination with the click id in the places it names, else in the offer's parameter. Its own
/// query and fragment stay.
pub(crate) fn with_click_id(destination: &str, click_param: &str, click_id: &str) -> String {
    if destination.contains(CLICK_ID) {
        return destination.replace(CLICK_ID, click_id);
    }
    let (address, fragment) = match destination.split_once('#') {
        Some((address, fragment)) => (address, Some(fragment)),
        None => (destination, None),
    };
    let joint = match address.split_once('?') {
        None => "?",
        Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
        Some(_) => "&",
    };
    let param = utf8_percent_encode(click_param, VALUE);
    let mut whole = format!("{address}{joint}{param}={click_id}");
    if let Some(fragment) = fragment {
        whole.push('#');
        whole.push_str(fragment);
    }
    whole
}

/// A destination for whoever only looks.
pub(super) fn without_click_id(destination: &str) -> String {
    destination.replace(CLICK_ID, "")
}

#[cfg(test)]
mod tests {
    use postbook_schemas::{OfferRef, Slug};

    use super::*;

    fn filled(template: &str) -> String {
        let link = Link {
            slug: Slug::try_new("abc").unwrap(),
            offer: OfferRef::try_new("acme/casino").unwrap(),
            partner: Slug::try_new("p1").unwrap(),
            campaign: None,
            destination: None,
        };
        let parameters = [("sub1", "a b&c{click_id}"), ("utm_campaign", "spring")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let macros = Macros {
            link: &link,
            parameters: &parameters.into(),
            country: Some("DE"),
            device: Device::Mobile,
        };
        with_click_id(&macros.fill(template), "cid", "k3p9x7qAbc")
    }

    #[test]
    fn macros_are_filled_in_and_encoded() {
        for (template, expected) in [
            ("https://a.example/", "https://a.example/?cid=k3p9x7qAbc"),
            (
                "https://a.example?x=1#top",
                "https://a.example?x=1&cid=k3p9x7qAbc#top",
            ),
            ("https://a.example/?", "https://a.example/?cid=k3p9x7qAbc"),
            (
                "https://a.example/?x&",
                "https://a.example/?x&cid=k3p9x7qAbc",
            ),
            (
                "https://a.example/{click_id}",
                "https://a.example/k3p9x7qAbc",
            ),
            (
                "https://a.example/?s={sub1}&t={sub2}",
                "https://a.example/?s=a%20b%26c%7Bclick_id%7D&t=&cid=k3p9x7qAbc",
            ),
            (
                "https://a.example/{offer}/{partner}?c={campaign}&g={geo}&d={device}&u={source}",
                "https://a.example/casino/p1?c=spring&g=DE&d=mobile&u=&cid=k3p9x7qAbc",
            ),
            (
                "https://a.example/{other}{",
                "https://a.example/{other}{?cid=k3p9x7qAbc",
            ),
            (
                "https://ä.example/ö\r\nx",
                "https://%C3%A4.example/%C3%B6%0D%0Ax?cid=k3p9x7qAbc",
            ),
        ] {
            assert_eq!(filled(template), expected);
        }
    }
}
