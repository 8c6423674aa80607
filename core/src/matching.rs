//! Matching: which record a newly seen object is. Asked once per object, when it is first seen; from then on the
//! external id decides.

use serde::{Deserialize, Serialize};

use crate::{
    ids::RecordId,
    model::Model,
    mutant::{self, Rule},
    replica::{Link, Observation, Replica},
    time::Millis,
    value::Fields,
};

/// One canonical match key of a record or of an observed object: two of them are equal when name and value are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MatchKey {
    /// Which key of the model, such as `email` or `last_name+phone`.
    pub name: String,
    /// The loosely folded values of its fields: plain for one field, a JSON array for several, a hash where that would
    /// be longer than [`MatchKey::VALUE_LEN_MAX`] bytes.
    pub value: String,
}

impl MatchKey {
    /// The longest value that is kept in the clear, in bytes.
    pub const VALUE_LEN_MAX: usize = 200;

    /// The match keys that canonical `fields` fill, best first. A key with a blank or absent member does not match
    /// anything and is left out.
    pub fn all(model: &Model, fields: &Fields) -> Vec<Self> {
        model.match_keys.iter().filter_map(|members| Self::of(members, fields)).collect()
    }

    fn of(members: &[crate::ids::FieldName], fields: &Fields) -> Option<Self> {
        let folds = members
            .iter()
            .map(|member| fields.get(member).map(|value| value.loose_fold()).filter(|fold| !fold.is_empty()))
            .collect::<Option<Vec<String>>>()?;
        let value = match folds.as_slice() {
            [] => return None,
            [single] => single.clone(),
            several => serde_json::Value::from(several).to_string(),
        };
        let name = members.iter().map(|member| member.as_str()).collect::<Vec<_>>().join("+");
        Some(Self { name, value: shortened(value) })
    }
}

fn shortened(value: String) -> String {
    if value.len() <= MatchKey::VALUE_LEN_MAX {
        return value;
    }
    format!("blake3:{}", blake3::hash(value.as_bytes()))
}

/// Everything known of a newly seen object that bears on which record it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// The record that is, or was, linked to the object's id.
    pub by_id: Option<RecordId>,
    /// Records that are, or were, linked to other ids that now resolve to this object, in the provider's order.
    pub by_alias: Vec<Claim>,
    /// The record that the object's unique key field names, where it exists in this tenant and model.
    pub by_key: Option<Claim>,
    /// The object's own match keys, from [`MatchKey::all`].
    pub keys: Vec<MatchKey>,
    /// Records of this tenant and model, none of them deleted, that share at least one match key with the object.
    pub candidates: Vec<Candidate>,
    /// The reading is a read by id, which shows the present.
    pub by_read: bool,
}

/// A record that something names which only one object can have: its id of old, or the unique key field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The record.
    pub record: RecordId,
    /// Its seat in the object's connection.
    pub seat: Seat,
}

/// A record that shares a match key with the object.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The record.
    pub record: RecordId,
    /// Its match keys, from [`MatchKey::all`].
    pub keys: Vec<MatchKey>,
    /// Its seat in the object's connection.
    pub seat: Seat,
}

/// A record's place in one connection: whether an object of that connection may still take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seat {
    /// No object of the connection is this record.
    Free,
    /// A create is in flight there, so the object may be the one that it made.
    Creating,
    /// An object of the connection is this record already.
    Taken,
    /// A person or the delete rule cut the link to an object that lives on, or the record's object is gone and this is another.
    Detached,
}

impl Seat {
    /// The seat that a record's replica in the connection leaves to an object that a reading shows now; `None` where the
    /// record has no replica there. A create whose answer was lost keeps its seat only until a reading settles what became
    /// of it: the object that it finds by a match key then is the one that was made, or one that stands for it.
    pub fn of(replica: Option<&Replica>, reading: &Observation, now: Millis) -> Self {
        let Some(replica) = replica else { return Self::Free };
        let creating = replica.is_creating() && !replica.may_have_made(reading, now);
        match &replica.link {
            Link::Linked { .. } => Self::Taken,
            Link::Detached { .. } => Self::Detached,
            // Another object is no restored one, and nobody has said that it stands for the one that is gone.
            Link::Gone { id } if !creating && *id != reading.id && !reading.aliases.contains(id) => Self::Detached,
            Link::Unlinked | Link::Gone { .. } if creating => Self::Creating,
            Link::Unlinked | Link::Gone { .. } => Self::Free,
        }
    }
}

/// Which record a newly seen object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// The record that knows this object already.
    Known(RecordId),
    /// A record that has no object in this connection: link it.
    Link(RecordId),
    /// None: the object is a record of its own.
    New,
    /// A list shows an object like a record that has another one here. It may lag, and show one that the record has lost:
    /// only a read by id makes it a record of its own.
    Unconfirmed,
    /// A create for this record is in flight in the connection and may have made the object: the record holds the
    /// observation until the create has ended, and then it is asked again.
    Creating(RecordId),
    /// One of these, and the evidence does not say which or whether: held for a person, never guessed.
    Ambiguous(Vec<RecordId>),
}

/// Which record the object is.
///
/// Ids decide before keys, and the unique key field before match keys. Two objects of one connection are never one
/// record: a record that is taken there is out of the question, and where nothing else is left the object is a record of
/// its own. Among the rest the best match key that agrees decides, under two rules that keep people apart who share a
/// telephone or a mailbox: a candidate that a *better* key tells apart is never linked, and several candidates of one key
/// are narrowed to those that no lesser key tells apart.
pub fn decide(evidence: &Evidence) -> Match {
    if let Some(known) = evidence.by_id {
        return Match::Known(known);
    }
    if let Some(first) = evidence.by_alias.first() {
        let linked = evidence.by_alias.iter().find(|claim| claim.seat != Seat::Detached);
        // An object that was cut off, and lives on in this one: nobody has said that the link is wanted again.
        return match linked.or(mutant::off(Rule::CutOffStaysSo).then_some(first)) {
            Some(claim) => Match::Known(claim.record),
            None => Match::Ambiguous(vec![first.record]),
        };
    }
    match evidence.by_key {
        Some(Claim { record, seat: Seat::Free | Seat::Creating }) => Match::Link(record),
        // A copy that carries the original's key, or an object that a person has cut off.
        Some(Claim { record, seat: Seat::Taken | Seat::Detached }) => Match::Ambiguous(vec![record]),
        None => by_match_keys(evidence),
    }
}

fn by_match_keys(evidence: &Evidence) -> Match {
    let standings = evidence.candidates.iter().filter_map(|candidate| Standing::of(candidate, &evidence.keys));
    let free =
        |standing: &Standing<'_>| standing.candidate.seat != Seat::Taken || mutant::off(Rule::TakenIsNoCandidate);
    let (open, taken): (Vec<Standing<'_>>, Vec<Standing<'_>>) = standings.partition(free);
    if open.is_empty() {
        let confirmed = taken.is_empty() || evidence.by_read || mutant::off(Rule::TwinNeedsReadById);
        return if confirmed { Match::New } else { Match::Unconfirmed };
    }
    let likely = retained(&open, |standing| !standing.better_differs || mutant::off(Rule::BetterKeyTellsApart));
    let Some(best) = likely.iter().map(|standing| standing.rank).min() else { return ambiguous(&open) };
    let best = retained(&likely, |standing| standing.rank == best);
    let alike = retained(&best, |standing| !standing.lesser_differs);
    settle(if alike.is_empty() { &best } else { &alike })
}

/// One candidate is linked, several are not.
fn settle(finalists: &[Standing<'_>]) -> Match {
    let creating = finalists.iter().find(|standing| standing.candidate.seat == Seat::Creating);
    if let Some(creating) = creating.filter(|_| !mutant::off(Rule::CreatingIsAwaited)) {
        return Match::Creating(creating.candidate.record);
    }
    match finalists {
        [only] if only.candidate.seat == Seat::Free => Match::Link(only.candidate.record),
        [first, ..] if mutant::off(Rule::AmbiguousIsHeld) => Match::Link(first.candidate.record),
        several => ambiguous(several),
    }
}

fn ambiguous(standings: &[Standing<'_>]) -> Match {
    let mut records: Vec<RecordId> = standings.iter().map(|standing| standing.candidate.record).collect();
    records.sort_unstable();
    records.dedup();
    Match::Ambiguous(records)
}

fn retained<'a>(standings: &[Standing<'a>], keep: impl Fn(&Standing<'a>) -> bool) -> Vec<Standing<'a>> {
    standings.iter().copied().filter(keep).collect()
}

/// How a candidate's match keys compare with the object's.
#[derive(Clone, Copy, Debug)]
struct Standing<'a> {
    candidate: &'a Candidate,
    /// The first of the object's keys, best first, that the candidate shares.
    rank: usize,
    /// A better key is filled on both sides and differs.
    better_differs: bool,
    /// A lesser key is filled on both sides and differs.
    lesser_differs: bool,
}

impl<'a> Standing<'a> {
    /// `None` where no key agrees.
    fn of(candidate: &'a Candidate, keys: &[MatchKey]) -> Option<Self> {
        let rank = keys.iter().position(|key| candidate.keys.contains(key))?;
        let differs = |key: &MatchKey| candidate.keys.iter().any(|own| own.name == key.name && own.value != key.value);
        Some(Self {
            candidate,
            rank,
            better_differs: keys[..rank].iter().any(differs),
            lesser_differs: keys[rank + 1..].iter().any(differs),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: RecordId = RecordId(uuid::Uuid::from_u128(1));
    const B: RecordId = RecordId(uuid::Uuid::from_u128(2));

    /// `"email=a name=b"` as match keys.
    fn keys(text: &str) -> Vec<MatchKey> {
        let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
        pairs.map(|(name, value)| MatchKey { name: name.into(), value: value.into() }).collect()
    }

    fn candidate(record: RecordId, text: &str, seat: Seat) -> Candidate {
        Candidate { record, keys: keys(text), seat }
    }

    #[test]
    fn ids_decide_before_the_key_field_and_that_before_match_keys() {
        let rival = || vec![candidate(B, "email=x", Seat::Free)];
        let claim = |seat| Some(Claim { record: A, seat });
        for (by_id, by_alias, by_key, verdict) in [
            (Some(A), vec![(B, Seat::Taken)], None, Match::Known(A)),
            (None, vec![(A, Seat::Taken), (B, Seat::Taken)], None, Match::Known(A)),
            (None, vec![(B, Seat::Detached), (A, Seat::Free)], None, Match::Known(A)),
            (None, vec![(A, Seat::Detached)], claim(Seat::Free), Match::Ambiguous(vec![A])),
            (Some(B), vec![], claim(Seat::Free), Match::Known(B)),
            (None, vec![], claim(Seat::Free), Match::Link(A)),
            (None, vec![], claim(Seat::Creating), Match::Link(A)),
            (None, vec![], claim(Seat::Taken), Match::Ambiguous(vec![A])),
            (None, vec![], claim(Seat::Detached), Match::Ambiguous(vec![A])),
            (None, vec![], None, Match::Link(B)),
        ] {
            let by_alias = by_alias.into_iter().map(|(record, seat)| Claim { record, seat }).collect();
            let evidence =
                Evidence { by_id, by_alias, by_key, keys: keys("email=x"), candidates: rival(), by_read: true };
            assert_eq!(decide(&evidence), verdict, "{evidence:?}");
        }
    }

    #[test]
    fn match_keys_link_what_is_certain_and_hold_what_is_not() {
        use Seat::{Creating, Detached, Free, Taken};
        let unsure = |records: &[RecordId]| Match::Ambiguous(records.to_vec());
        let object = "email=x phone=1";
        for (why, candidates, verdict) in [
            ("nobody is like it", vec![], Match::New),
            ("one is free", vec![candidate(A, "email=x", Free)], Match::Link(A)),
            ("two objects of one connection are two records", vec![candidate(A, "email=x phone=1", Taken)], Match::New),
            (
                "one is taken, the other free",
                vec![candidate(A, "email=x", Taken), candidate(B, "email=x", Free)],
                Match::Link(B),
            ),
            (
                "two are free and alike",
                vec![candidate(B, "email=x", Free), candidate(A, "email=x", Free)],
                unsure(&[A, B]),
            ),
            (
                "the better key decides between keys",
                vec![candidate(A, "phone=1", Free), candidate(B, "email=x", Free)],
                Match::Link(B),
            ),
            (
                "a shared mailbox, told apart by the lesser key",
                vec![candidate(A, "email=x phone=2", Free), candidate(B, "email=x phone=1", Free)],
                Match::Link(B),
            ),
            (
                "a shared mailbox, and one lacks the lesser key",
                vec![candidate(A, "email=x", Free), candidate(B, "email=x phone=1", Free)],
                unsure(&[A, B]),
            ),
            (
                "a shared mailbox, and the lesser key denies both",
                vec![candidate(A, "email=x phone=2", Free), candidate(B, "email=x phone=3", Free)],
                unsure(&[A, B]),
            ),
            ("the lesser key denies the only one", vec![candidate(A, "email=x phone=2", Free)], Match::Link(A)),
            ("a shared telephone, denied by the better key", vec![candidate(A, "email=y phone=1", Free)], unsure(&[A])),
            ("the better key is blank there", vec![candidate(A, "phone=1", Free)], Match::Link(A)),
            ("denied and taken", vec![candidate(A, "email=y phone=1", Taken)], Match::New),
            ("a create is in flight", vec![candidate(A, "email=x", Creating)], Match::Creating(A)),
            (
                "a create is in flight for one of two",
                vec![candidate(B, "email=x", Free), candidate(A, "email=x", Creating)],
                Match::Creating(A),
            ),
            ("a person cut the link", vec![candidate(A, "email=x", Detached)], unsure(&[A])),
            ("nothing agrees", vec![candidate(A, "email=z", Free)], Match::New),
        ] {
            let forward = Evidence { keys: keys(object), candidates, by_read: true, ..Evidence::default() };
            let mut backward = forward.clone();
            backward.candidates.reverse();
            assert_eq!((decide(&forward), decide(&backward)), (verdict.clone(), verdict), "{why}");
        }
    }

    #[test]
    fn keys_are_folded_complete_and_bounded() {
        use crate::value::Value;
        let members = |names: &[&str]| names.iter().map(|name| crate::ids::FieldName::from(*name)).collect::<Vec<_>>();
        let fields: Fields = [
            ("email".into(), Value::text(" Ann@X.org\u{a0}")),
            ("last_name".into(), Value::text("L\"E\u{301}")),
            ("phone".into(), Value::text("+15550100")),
            ("fax".into(), Value::Null),
            ("notes".into(), Value::text("n".repeat(5_000))),
        ]
        .into();
        for (names, value) in [
            (&["email"][..], Some("ann@x.org")),
            (&["last_name", "phone"], Some(r#"["l\"é","15550100"]"#)),
            (&["email", "fax"], None),
            (&["email", "mobile"], None),
            (&[], None),
        ] {
            let key = MatchKey::of(&members(names), &fields);
            assert_eq!(key.as_ref().map(|key| key.value.as_str()), value, "{names:?}");
            assert!(key.is_none_or(|key| key.name == names.join("+")));
        }
        let long = MatchKey::of(&members(&["notes"]), &fields).unwrap();
        assert!(long.value.starts_with("blake3:") && long.value.len() <= MatchKey::VALUE_LEN_MAX);
    }
}
