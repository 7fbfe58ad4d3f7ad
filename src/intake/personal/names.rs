//! Names of parameters that say that their values are personal data.

/// Words that say so wherever they stand in a name: `customer_email`, `billing[phone]`. In order.
const WORDS: &[&str] = &[
    "birthdate",
    "birthday",
    "cardnumber",
    "ccnumber",
    "cellphone",
    "cvc",
    "cvv",
    "dob",
    "email",
    "emailaddress",
    "emails",
    "firstname",
    "fname",
    "fullname",
    "homeaddress",
    "iban",
    "lastname",
    "lname",
    "mail",
    "middlename",
    "mobilenumber",
    "mobilephone",
    "msisdn",
    "passport",
    "phone",
    "phonenumber",
    "phones",
    "postaladdress",
    "ssn",
    "street",
    "streetaddress",
    "surname",
    "tel",
    "telephone",
];

/// Words that say so together.
const PHRASES: &[&[&str]] = &[
    &["e", "mail"],
    &["card", "number"],
    &["cc", "number"],
    &["mobile", "number"],
    &["address", "line"],
    &["date", "of", "birth"],
    &["birth", "date"],
];

/// What is somebody's behind one of the words below: `customer_name`, `billing[address]`.
const OWN: &[&str] = &["name", "address", "mobile"];

/// Words behind which it is somebody's: of people, and of kinds of names and addresses.
const SOMEBODY: &[&str] = &[
    "applicant",
    "beneficiary",
    "billing",
    "buyer",
    "cardholder",
    "client",
    "contact",
    "customer",
    "delivery",
    "family",
    "first",
    "full",
    "given",
    "guest",
    "holder",
    "home",
    "last",
    "maiden",
    "member",
    "middle",
    "owner",
    "passenger",
    "patient",
    "payer",
    "person",
    "player",
    "postal",
    "recipient",
    "residential",
    "shipping",
    "street",
    "subscriber",
    "user",
];

/// Things, whose names and addresses are nobody's: `product.name`, `ip[address]`.
const THINGS: &[&str] = &[
    "ad",
    "ads",
    "adset",
    "app",
    "banner",
    "bonus",
    "brand",
    "browser",
    "campaign",
    "carrier",
    "category",
    "city",
    "country",
    "coupon",
    "creative",
    "currency",
    "device",
    "domain",
    "event",
    "file",
    "game",
    "goal",
    "host",
    "ip",
    "item",
    "items",
    "keyword",
    "landing",
    "link",
    "mac",
    "network",
    "offer",
    "offers",
    "os",
    "package",
    "page",
    "placement",
    "plan",
    "platform",
    "product",
    "products",
    "promo",
    "region",
    "server",
    "shop",
    "site",
    "source",
    "store",
    "tariff",
    "tracker",
    "ua",
    "wallet",
];

/// Longest word that is looked at, in bytes: none of those above is as long.
const WORD_BYTES_MAX: usize = 24;

/// Whether a parameter of this name holds personal data, or stands below one that does: `name.first`.
/// Case, `camelCase`, brackets, separators and numbers behind words do not matter.
pub fn is_personal_name(name: &str) -> bool {
    let mut looked = Looked::default();
    let mut word = Word::default();
    let mut before = '_';
    for c in name.chars() {
        let is_new = !c.is_alphabetic() || (c.is_uppercase() && before.is_lowercase());
        if is_new && looked.add(word.take()) {
            return true;
        }
        if c.is_alphabetic() {
            word.push(c);
        } else if matches!(c, '.' | '[' | ']') && looked.ends_part() {
            return true;
        }
        before = c;
    }
    looked.add(word.take()) || looked.ends_part()
}

/// What was seen of a name so far.
#[derive(Default)]
struct Looked {
    /// The last words, in small letters.
    last: [Word; 2],
    /// How many words the part between two dots or brackets has.
    words_of_part: usize,
    /// Whether the part before this one is the name of a thing.
    is_of_thing: bool,
}

impl Looked {
    /// Adds a word; whether the name is of personal data by now.
    fn add(&mut self, word: Word) -> bool {
        let text = word.as_str();
        if text.is_empty() {
            return false;
        }
        let [first, second] = &self.last;
        let all = [first.as_str(), second.as_str(), text];
        let is_personal = WORDS.binary_search(&text).is_ok()
            || PHRASES.iter().any(|phrase| all.ends_with(phrase))
            || (OWN.contains(&text) && SOMEBODY.contains(&second.as_str()));
        self.words_of_part += 1;
        self.last.rotate_left(1);
        self.last[1] = word;
        is_personal
    }

    /// Ends a part: alone, `name` and `address` are somebody's unless what they stand in is a thing.
    fn ends_part(&mut self) -> bool {
        let last = self.last[1].as_str();
        let is_own = self.words_of_part == 1 && OWN.contains(&last) && !self.is_of_thing;
        // Numbers are places in lists, which say nothing.
        if self.words_of_part > 0 {
            self.is_of_thing = THINGS.contains(&last);
        }
        self.words_of_part = 0;
        is_own
    }
}

/// A word in small letters; of one that is too long for any above nothing but that it is one.
#[derive(Default)]
struct Word {
    bytes: [u8; WORD_BYTES_MAX],
    length: usize,
}

impl Word {
    fn push(&mut self, c: char) {
        for small in c.to_lowercase() {
            let end = self.length + small.len_utf8();
            if let Some(place) = self.bytes.get_mut(self.length..end) {
                small.encode_utf8(place);
            }
            self.length = end;
        }
    }

    fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..self.length).unwrap_or(b"\0");
        std::str::from_utf8(bytes).unwrap_or("\0")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_in_order_and_can_be_found() {
        assert!(WORDS.is_sorted());
        let all = WORDS.iter().chain(OWN).chain(SOMEBODY).chain(THINGS);
        let mut all = all.chain(PHRASES.iter().copied().flatten());
        assert!(all.all(
            |word| word.len() <= WORD_BYTES_MAX && word.bytes().all(|b| b.is_ascii_lowercase())
        ));
    }

    #[test]
    fn names_of_personal_data_are_known_in_all_their_spellings() {
        let long = format!("{}_email", "x_".repeat(200));
        let below = format!("name.{}", "x".repeat(200));
        for name in [
            "email",
            "EMAIL",
            "e-mail",
            "customer_email",
            "customerEmail",
            "customer[email]",
            "user.email",
            "metadata.phone",
            "phone_number",
            "phonenumber",
            "PhoneNumber",
            "phone1",
            "phone_2",
            "tel",
            "mobile",
            "mobile1",
            "user[mobile]",
            "customerMobile",
            "mobile_phone",
            "name",
            "name2",
            "firstName",
            "first-name",
            "billing[first_name]",
            "buyer_name",
            "user_name",
            "userName",
            "user[name]",
            "metadata[name]",
            "data[user][name]",
            "customers[0][name]",
            "product.customer.name",
            "customer.name",
            "metadata.name",
            "name.first",
            "name[0]",
            "address.line1",
            "buyer[address]",
            "buyer[address][line1]",
            "address1",
            "address_line_2",
            "billing_address_1",
            "shippingAddress",
            "dateOfBirth",
            "card_number",
            "iban",
            "address",
            &long,
            &below,
        ] {
            assert!(is_personal_name(name), "{name}");
        }
    }

    #[test]
    fn names_of_other_things_are_let_be() {
        let long = "x".repeat(500);
        for name in [
            "offer_name",
            "event_name",
            "goal_name",
            "campaignName",
            "product_name",
            "product[name]",
            "product.name",
            "items[0][name]",
            "items.name.de",
            "file_name",
            "filename",
            "host_name",
            "domain_name",
            "brand[name]",
            "app_name",
            "names",
            "ip_address",
            "ipAddress",
            "ip[address]",
            "wallet_address",
            "mobile_app",
            "is_mobile",
            "device.mobile",
            "mobile_os",
            "user_agent",
            "txn_id",
            "product.title",
            "username",
            "hotel",
            "telemetry",
            "detail",
            "mailing",
            "id",
            "",
            "plan",
            "user_id",
            "customer_id",
            "device",
            "cid",
            "sub1",
            "utm_source",
            "click_id",
            "event_id",
            "first_deposit",
            "card_type",
            "metadata",
            "metadata.plan",
            "data[0][id]",
            &long,
        ] {
            assert!(!is_personal_name(name), "{name}");
        }
    }
}
