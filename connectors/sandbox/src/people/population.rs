//! How many people there are, and how messy their values.

use serde::{Deserialize, Serialize};

/// How many contacts the platforms hold at the start, and how messy they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Population {
    /// Contacts on each platform.
    pub per_system: u64,
    /// How many of them are the same people on both.
    pub shared: u64,
    /// How their values are written.
    pub mess: Mess,
}

/// The share, from 0 to 1, of values that show each kind of mess.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mess {
    /// People with a name outside ASCII.
    pub unicode: f64,
    /// Names outside ASCII that one platform holds in decomposed form (NFD).
    pub decomposed: f64,
    /// Texts with a no-break space inside or at the edge.
    pub nbsp: f64,
    /// Texts with a space at the edge, or two in the middle.
    pub spaces: f64,
    /// Notes of several lines whose line ends are CRLF rather than LF.
    pub crlf: f64,
    /// Telephone numbers that are not in international form.
    pub phone_forms: f64,
    /// E-mail addresses typed with capitals.
    pub email_case: f64,
    /// Optional values that are missing.
    pub missing: f64,
    /// People without an e-mail address.
    pub missing_email: f64,
    /// People on Salesforce who share the address of somebody else there (HubSpot refuses that).
    pub shared_email: f64,
    /// Shared people whose job title differs between the platforms.
    pub disagree: f64,
}

impl Default for Population {
    fn default() -> Self {
        Self::demo()
    }
}

impl Default for Mess {
    fn default() -> Self {
        Self::usual()
    }
}

impl Population {
    /// A thousand contacts on each side, six hundred in common, all with an address of their own.
    #[must_use]
    pub fn demo() -> Self {
        Self { per_system: 1_000, shared: 600, mess: Mess::usual() }
    }

    /// As [`Population::demo`] but with the mess that makes matching ambiguous: shared and missing addresses.
    #[must_use]
    pub fn messy() -> Self {
        let mess = Mess { shared_email: 0.03, missing_email: 0.04, disagree: 0.05, missing: 0.3, ..Mess::usual() };
        Self { mess, ..Self::demo() }
    }

    /// No contacts at all, for tests that bring their own.
    #[must_use]
    pub fn empty() -> Self {
        Self { per_system: 0, shared: 0, mess: Mess::none() }
    }

    /// The same mess with other numbers; `shared` is drawn down to `per_system`.
    #[must_use]
    pub fn sized(self, per_system: u64, shared: u64) -> Self {
        Self { per_system, shared: shared.min(per_system), ..self }
    }
}

impl Mess {
    /// Plain ASCII, complete, the same everywhere.
    #[must_use]
    pub fn none() -> Self {
        Self {
            unicode: 0.0,
            decomposed: 0.0,
            nbsp: 0.0,
            spaces: 0.0,
            crlf: 0.0,
            phone_forms: 0.0,
            email_case: 0.0,
            missing: 0.0,
            missing_email: 0.0,
            shared_email: 0.0,
            disagree: 0.0,
        }
    }

    /// What an ordinary account looks like, short of what makes matching ambiguous.
    #[must_use]
    pub fn usual() -> Self {
        Self {
            unicode: 0.25,
            decomposed: 0.05,
            nbsp: 0.03,
            spaces: 0.05,
            crlf: 0.5,
            phone_forms: 0.4,
            email_case: 0.2,
            missing: 0.15,
            missing_email: 0.0,
            shared_email: 0.0,
            disagree: 0.0,
        }
    }
}
