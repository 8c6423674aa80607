//! A user's e-mail address. It is an object of its own, an identity: an address that is sent with a change of the user is added
//! as a second one and leaves the first where it is.

use serde::Deserialize;
use serde_json::{Value, json};
use syncline_core::{
    ids::ExternalId,
    remote::{Raw, WriteOutcome, WriteRequest},
};

use super::{errors, kind::Kind, session::Session};
use crate::rest::{Answer, Call, Outcomes};

/// The field of a user.
pub(super) const FIELD: &str = "email";

/// Calls that a change of the address takes.
pub(super) const CALLS: usize = 2;

#[derive(Default, Deserialize)]
struct Identities {
    identities: Vec<Identity>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Identity {
    id: u64,
    #[serde(rename = "type")]
    ty: String,
    value: String,
    primary: bool,
}

/// Takes the address out of a change, where one is in it.
pub(super) fn take(kind: Kind, body: &mut Raw) -> Option<Value> {
    if kind == Kind::Users { body.remove(FIELD) } else { None }
}

/// Makes the address the user's first one. The error is how the row ended: nothing else was written then.
pub(super) async fn replace(
    session: &Session<'_>,
    row: &WriteRequest,
    user: &ExternalId,
    address: &Value,
) -> Result<(), WriteOutcome> {
    let refused = |code: &str, message: &str| Outcomes::refused(code, message, vec![FIELD.to_owned()]);
    let Some(address) = address.as_str().map(str::trim).filter(|address| !address.is_empty()) else {
        return Err(refused(
            "AddressIsKept",
            "a user's last e-mail address is not taken away, since tickets reach the user by it: remove it in Zendesk",
        ));
    };
    let path = format!("/api/v2/users/{user}/identities");
    let call = Call::get(format!("{path}.json")).query("type[]", FIELD);
    let identities: Identities = match session.read(call).await {
        Ok(identities) => identities,
        Err(error) if error.remedy == syncline_core::remote::Remedy::Gone => return Err(WriteOutcome::Gone),
        Err(error) => return Err(WriteOutcome::NotApplied(error)),
    };
    let Some(call) = step(&path, &identities.identities, address, session.settings.verify_emails) else {
        return Ok(());
    };
    let answer = session.send(call).await.map_err(Outcomes::lost)?;
    if answer.is_success() { Ok(()) } else { Err(named(&answer, row)) }
}

/// The call that is left to make; none where the address is the first one already.
fn step(path: &str, identities: &[Identity], address: &str, verify: bool) -> Option<Call> {
    let mut addresses = identities.iter().filter(|identity| identity.ty == FIELD);
    if let Some(held) = addresses.clone().find(|identity| identity.value.eq_ignore_ascii_case(address)) {
        let make_primary = || Call::put(format!("{path}/{}/make_primary.json", held.id), json!({}));
        return (!held.primary).then(make_primary);
    }
    Some(match addresses.find(|identity| identity.primary) {
        Some(first) => Call::put(format!("{path}/{}.json", first.id), json!({"identity": {"value": address}})),
        None => {
            let mut identity = json!({"type": FIELD, "value": address, "primary": true});
            if !verify {
                identity["skip_verify_email"] = json!(true);
            }
            Call::post(format!("{path}.json"), json!({ "identity": identity }))
        }
    })
}

/// Errors of an identity speak of its `value`.
fn named(answer: &Answer, row: &WriteRequest) -> WriteOutcome {
    match errors::refused(answer, Kind::Users, &row.verb) {
        WriteOutcome::Refused(refusal) => Outcomes::refused(refusal.code, refusal.message, vec![FIELD.to_owned()]),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::Body;

    #[test]
    fn an_address_is_replaced_promoted_added_or_left() {
        let identity =
            |id, ty: &str, value: &str, primary| Identity { id, ty: ty.into(), value: value.into(), primary };
        let first = || identity(1, "email", "ann@a.com", true);
        let second = || identity(2, "email", "ann@b.com", false);
        let phone = || identity(3, "phone_number", "+1", true);
        let put = |path: &str, body: Value| Some((format!("PUT /i{path}"), body));
        let cases = [
            (vec![first()], "ANN@a.com", None),
            (vec![first(), second()], "Ann@b.com", put("/2/make_primary.json", json!({}))),
            (vec![phone(), first()], "ann@c.com", put("/1.json", json!({"identity": {"value": "ann@c.com"}}))),
            (
                vec![phone()],
                "ann@c.com",
                Some((
                    "POST /i.json".to_owned(),
                    json!({"identity": {"type": "email", "value": "ann@c.com", "primary": true, "skip_verify_email": true}}),
                )),
            ),
        ];
        for (identities, address, expected) in cases {
            let call = step("/i", &identities, address, false).map(|call| {
                let Body::Json(body) = &call.body else { panic!("a body is expected") };
                (format!("{} {}", call.method, call.path), body.clone())
            });
            assert_eq!(call, expected, "{address}");
        }
    }

    #[test]
    fn only_users_have_one() {
        for (kind, expected) in [(Kind::Users, true), (Kind::Organizations, false)] {
            let mut body = Raw::from_iter([(FIELD.to_owned(), json!("a@b.c"))]);
            assert_eq!(take(kind, &mut body).is_some(), expected);
            assert_eq!(body.is_empty(), expected);
        }
    }
}
