//! The class of device that a browser's description of itself stands for.

use std::{
    collections::HashMap,
    fmt,
    sync::{PoisonError, RwLock},
};

use postbook_schemas::traffic::Device;
use woothee::parser::Parser;

/// Descriptions that are remembered: parsing one takes dozens of patterns, and traffic repeats them.
const REMEMBERED_MAX: usize = 4_096;

/// Longer ones are cut before they are looked at.
const LENGTH_MAX: usize = 512;

/// Tells classes of device, and remembers what it has told.
#[derive(Default)]
pub struct Devices(RwLock<HashMap<Box<str>, Device>>);

impl Devices {
    /// The class of device of a description.
    pub fn class_of(&self, user_agent: &str) -> Device {
        let user_agent = &user_agent[..user_agent.floor_char_boundary(LENGTH_MAX)];
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(device) = known.get(user_agent) {
            return *device;
        }
        drop(known);
        let device = class_of(user_agent);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // Starting afresh is cheap, and keeps whoever sends ever new ones from filling the memory.
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        known.insert(user_agent.into(), device);
        device
    }
}

impl fmt::Debug for Devices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Devices").finish_non_exhaustive()
    }
}

fn class_of(user_agent: &str) -> Device {
    let category = Parser::new()
        .parse(user_agent)
        .map_or("", |parsed| parsed.category);
    match category {
        "crawler" => Device::Bot,
        // The parser counts tablets among smartphones.
        "smartphone" | "pc" | "UNKNOWN" | "" if is_tablet(user_agent) => Device::Tablet,
        "smartphone" | "mobilephone" => Device::Mobile,
        "pc" => Device::Desktop,
        _ if is_program(user_agent) => Device::Bot,
        _ => Device::Unknown,
    }
}

fn is_tablet(user_agent: &str) -> bool {
    let names = ["iPad", "Tablet", "Kindle", "Silk/", "PlayBook"];
    let is_android = user_agent.contains("Android");
    names.iter().any(|name| user_agent.contains(name))
        || (is_android && !user_agent.contains("Mobile"))
}

fn is_program(user_agent: &str) -> bool {
    let programs = [
        "curl/",
        "Wget/",
        "python-requests/",
        "Go-http-client/",
        "okhttp/",
    ];
    programs.iter().any(|name| user_agent.starts_with(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_browsers_have_their_class() {
        let devices = Devices::default();
        for (agent, expected) in [
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
                Device::Desktop,
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1",
                Device::Mobile,
            ),
            (
                "Mozilla/5.0 (iPad; CPU OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1",
                Device::Tablet,
            ),
            (
                "Mozilla/5.0 (Linux; Android 14; SM-X710) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
                Device::Tablet,
            ),
            (
                "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36",
                Device::Mobile,
            ),
            (
                "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
                Device::Bot,
            ),
            ("curl/8.5.0", Device::Bot),
            ("something else", Device::Unknown),
            ("", Device::Unknown),
        ] {
            assert_eq!(devices.class_of(agent), expected, "{agent}");
            assert_eq!(devices.class_of(agent), expected, "remembered: {agent}");
        }
    }
}
