//! Names of parameters that say that their values are personal data.

/// Words that say so wherever they stand in a name: `customer_email`, `billing[phone]`.
const WORDS: &[&str] = &[
    "email",
    "emails",
    "mail",
    "phone",
    "phones",
    "telephone",
    "tel",
    "msisdn",
    "surname",
    "firstname",
    "lastname",
    "fullname",
    "fname",
    "lname",
    "birthdate",
    "birthday",
    "dob",
    "passport",
    "street",
    "iban",
    "ssn",
    "cardnumber",
    "ccnumber",
    "cvv",
    "cvc",
];

/// Words that say so together.
const PHRASES: &[&str] = &[
    "e_mail",
    "first_name",
    "last_name",
    "full_name",
    "family_name",
    "given_name",
    "middle_name",
    "maiden_name",
    "customer_name",
    "client_name",
    "contact_name",
    "person_name",
    "player_name",
    "billing_name",
    "shipping_name",
    "holder_name",
    "cardholder_name",
    "card_number",
    "cc_number",
    "date_of_birth",
    "birth_date",
    "phone_number",
    "mobile_number",
    "postal_address",
    "street_address",
    "billing_address",
    "shipping_address",
    "home_address",
];

/// Names that say so alone, but not as a part of another: `offer_name`, `ip_address`.
const WHOLE: &[&str] = &["name", "address"];

/// Whether a parameter of this name holds personal data. Case, `camelCase`, brackets and separators
/// do not matter.
pub fn is_personal_name(name: &str) -> bool {
    // The prefix says where it stands, not what it is.
    let name = name.strip_prefix("metadata.").unwrap_or(name);
    if name.len() < 3 || name.len() > 128 {
        return false;
    }
    let plain = words_of(name);
    let own = plain
        .rsplit_once('.')
        .map_or(plain.as_str(), |(_, last)| last);
    if WHOLE.contains(&own) {
        return true;
    }
    let bounded = format!("_{}_", plain.replace('.', "_"));
    let holds = |part: &&str| {
        bounded.match_indices(*part).any(|(at, _)| {
            bounded[..at].ends_with('_') && bounded[at + part.len()..].starts_with('_')
        })
    };
    WORDS.iter().any(holds) || PHRASES.iter().any(holds)
}

/// A name in small letters with `_` between its words; the dots of a path stay.
fn words_of(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 4);
    let mut before = '_';
    for c in name.chars() {
        if c.is_alphanumeric() {
            if c.is_uppercase() && before.is_lowercase() {
                words.push('_');
            }
            words.extend(c.to_lowercase());
        } else if c == '.' {
            words.push('.');
        } else if !words.ends_with(['_', '.']) && !words.is_empty() {
            words.push('_');
        }
        before = c;
    }
    words.truncate(words.trim_end_matches('_').len());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_personal_data_are_known_in_all_their_spellings() {
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
            "PhoneNumber",
            "name",
            "firstName",
            "first-name",
            "billing[first_name]",
            "customer.name",
            "metadata.name",
            "billing_address_1",
            "dateOfBirth",
            "card_number",
            "iban",
            "address",
        ] {
            assert!(is_personal_name(name), "{name}");
        }
    }

    #[test]
    fn names_of_other_things_are_let_be() {
        for name in [
            "offer_name",
            "event_name",
            "goal_name",
            "campaignName",
            "ip_address",
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
        ] {
            assert!(!is_personal_name(name), "{name}");
        }
    }
}
