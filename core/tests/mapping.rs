//! Mappings as tables: what configuration may say, what is read and written, and how a provider's history becomes clocks
//! and past values.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};
use syncline_core::{
    ids::FieldName,
    mapping::{FieldSpec, Mapping, MappingSpec},
    model::{Canonical, DeleteEffect, DeleteRace, DeleteRule, Field, FieldType, Model},
    policies::Policy,
    remote::{PastValue, Raw, RemoteObject, RemoteVersion},
    replica::{Past, Source},
    time::{Clock, ClockKind, Millis, Tick},
    value::{Fields, Value},
};

fn model() -> Model {
    let text = || Field::of(FieldType::Text { max_len: 20 });
    let stages = || ["lead", "mql", "customer"].map(str::to_owned).to_vec();
    let fields = [
        ("email", Field { canonical: vec![Canonical::Trim, Canonical::Lower], ..text() }),
        ("first_name", text()),
        ("last_name", text()),
        ("full_name", text()),
        ("street", text()),
        ("city", text()),
        ("stage", Field { policy: Policy::ForwardOnly(stages()), ..Field::of(FieldType::Enum { values: stages() }) }),
        ("tags", Field { policy: Policy::Set, ..Field::of(FieldType::Set { values: BTreeSet::new() }) }),
        ("active", Field::of(FieldType::Bool)),
        ("visits", Field::of(FieldType::Int)),
        ("worth", Field::of(FieldType::Decimal { scale: 2 })),
        ("born", Field::of(FieldType::Date)),
        ("seen_at", Field::of(FieldType::DateTime)),
        ("score", Field { computed: true, ..Field::of(FieldType::Int) }),
    ];
    Model {
        name: "contact".into(),
        fields: fields.into_iter().map(|(name, field)| (name.into(), field)).collect(),
        match_keys: Vec::new(),
        deletes: DeleteRule { effect: DeleteEffect::Propagate, race: DeleteRace::EditWins },
    }
}

fn spec(json: Json) -> MappingSpec {
    serde_json::from_value(json).unwrap()
}

fn mapping(json: Json) -> Mapping {
    Mapping::new(&model(), &spec(json)).unwrap()
}

fn raw(json: Json) -> Raw {
    json.as_object().unwrap().clone()
}

fn fields(json: Json) -> Fields {
    let model = model();
    let field = |(name, json): (String, Json)| {
        let name = FieldName::new(name);
        let value = model.field(&name).unwrap().parse_json(&json).unwrap();
        (name, value)
    };
    raw(json).into_iter().map(field).collect()
}

fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<FieldName> {
    names.into_iter().map(FieldName::new).collect()
}

fn all(fields: &Fields) -> BTreeSet<FieldName> {
    fields.keys().cloned().collect()
}

#[test]
fn values_come_and_go_in_the_providers_spelling() {
    let stages = json!({"lead": "Open", "mql": "Working", "customer": "Closed"});
    for (entry, there, here) in [
        (json!({"email": "Email"}), json!({"Email": "ann@b.c"}), json!({"email": "ann@b.c"})),
        (
            json!({"stage": {"field": "Status", "values": stages}}),
            json!({"Status": "Working"}),
            json!({"stage": "mql"}),
        ),
        (json!({"stage": {"field": "Status", "values": stages}}), json!({"Status": null}), json!({"stage": null})),
        (json!({"tags": {"field": "Tags", "list": ";"}}), json!({"Tags": "a;b"}), json!({"tags": ["b", "a"]})),
        (json!({"tags": {"field": "Tags", "list": ";"}}), json!({"Tags": null}), json!({"tags": []})),
        (json!({"tags": "Tags"}), json!({"Tags": ["a", "b"]}), json!({"tags": ["a", "b"]})),
        (
            json!({"tags": {"field": "Tags", "list": ";", "values": {"vip": "V", "partner": 7}}}),
            json!({"Tags": "7;V"}),
            json!({"tags": ["vip", "partner"]}),
        ),
        (
            json!({"street": {"path": "Address.street"}}),
            json!({"Address": {"street": "High St"}}),
            json!({"street": "High St"}),
        ),
        (
            json!({"full_name": {"join": ["First", "Last"], "with": " "}}),
            json!({"First": "Mary", "Last": "Ann Lee"}),
            json!({"full_name": "Mary Ann Lee"}),
        ),
        (
            json!({"full_name": {"join": ["First", "Last"], "with": " ", "rest": "first"}}),
            json!({"First": null, "Last": "Lee"}),
            json!({"full_name": "Lee"}),
        ),
        (
            json!({
                "first_name": {"field": "Name", "split": " ", "part": 1, "rest": "first"},
                "last_name": {"field": "Name", "split": " ", "part": 2, "rest": "first"},
            }),
            json!({"Name": "Mary Ann Lee"}),
            json!({"first_name": "Mary Ann", "last_name": "Lee"}),
        ),
        (json!({"active": "Active"}), json!({"Active": true}), json!({"active": true})),
        (json!({"active": {"field": "Active", "type": "text"}}), json!({"Active": "false"}), json!({"active": false})),
        (json!({"active": {"field": "Active", "type": "number"}}), json!({"Active": 1}), json!({"active": true})),
        (
            json!({"active": {"field": "Active", "values": {"true": "Y", "false": "N"}}}),
            json!({"Active": "N"}),
            json!({"active": false}),
        ),
        (json!({"visits": {"field": "Visits", "type": "text"}}), json!({"Visits": "12"}), json!({"visits": 12})),
        (json!({"worth": "Worth"}), json!({"Worth": 12.5}), json!({"worth": "12.5"})),
        (json!({"worth": "Worth"}), json!({"Worth": 12}), json!({"worth": "12"})),
        (json!({"worth": "Worth"}), json!({"Worth": "90071992547409.93"}), json!({"worth": "90071992547409.93"})),
        (json!({"born": "Born"}), json!({"Born": "1990-02-28"}), json!({"born": "1990-02-28"})),
        (
            json!({"born": {"field": "Born", "type": "epoch_ms"}}),
            json!({"Born": -86_400_000}),
            json!({"born": "1969-12-31"}),
        ),
        (
            json!({"born": {"field": "Born", "type": "date_time"}}),
            json!({"Born": "1990-02-28T00:00:00.000Z"}),
            json!({"born": "1990-02-28"}),
        ),
        (
            json!({"seen_at": "Seen"}),
            json!({"Seen": "2026-05-05T10:00:00.123Z"}),
            json!({"seen_at": "2026-05-05T10:00:00.123Z"}),
        ),
        (
            json!({"seen_at": {"field": "Seen", "type": "epoch_s"}}),
            json!({"Seen": -1}),
            json!({"seen_at": "1969-12-31T23:59:59Z"}),
        ),
        (
            json!({"seen_at": {"field": "Seen", "type": "date"}}),
            json!({"Seen": "2026-05-05"}),
            json!({"seen_at": "2026-05-05T00:00:00Z"}),
        ),
        (json!({"email": {"field": "Number", "type": "number"}}), json!({"Number": 7}), json!({"email": "7"})),
    ] {
        let mapping = mapping(entry.clone());
        let reading = mapping.read(&raw(there.clone()));
        assert_eq!((reading.fields, reading.faults), (fields(here.clone()), vec![]), "{entry} reads {there}");
        let values = fields(here.clone());
        assert_eq!(mapping.write(&all(&values), &values, false), Ok(raw(there)), "{entry} writes {here}");
    }
}

#[test]
fn providers_spellings_are_folded_when_read() {
    for (entry, there, here) in [
        (json!({"email": "Email"}), json!({"Email": " Ann@B.C\u{a0}"}), json!({"email": "ann@b.c"})),
        (
            json!({"first_name": {"field": "First", "canonical": ["trim"]}}),
            json!({"First": " Ann "}),
            json!({"first_name": "Ann"}),
        ),
        (
            json!({"stage": {"field": "S", "canonical": ["lower"], "values": {"lead": "Open", "mql": "W", "customer": "C"}}}),
            json!({"S": "OPEN"}),
            json!({"stage": "lead"}),
        ),
        (json!({"worth": "Worth"}), json!({"Worth": "10.00"}), json!({"worth": "10"})),
        (json!({"tags": {"field": "Tags", "list": ";"}}), json!({"Tags": "b; a;;"}), json!({"tags": ["a", "b"]})),
        (json!({"email": "Email"}), json!({"Email": ""}), json!({"email": null})),
        (json!({"street": {"path": "Address.street"}}), json!({"Address": null}), json!({"street": null})),
        (json!({"email": "Email", "city": "City"}), json!({"City": "Bonn"}), json!({"city": "Bonn"})),
        (json!({"full_name": {"join": ["First", "Last"], "with": " "}}), json!({"First": "Ann"}), json!({})),
    ] {
        let reading = mapping(entry.clone()).read(&raw(there.clone()));
        assert_eq!((reading.fields, reading.faults), (fields(here), vec![]), "{entry} reads {there}");
    }
}

#[test]
fn values_that_cannot_be_taken_are_faults_and_the_others_are_read() {
    for (entry, there, field, message) in [
        (json!({"stage": "Status"}), json!({"Status": "Prospect"}), "stage", "it takes lead, mql, customer"),
        (
            json!({"stage": {"field": "Status", "values": {"lead": "Open", "mql": "W", "customer": "C"}}}),
            json!({"Status": "Opne"}),
            "stage",
            "the nearest is `Open`",
        ),
        (json!({"first_name": "First"}), json!({"First": "x".repeat(21)}), "first_name", "the text has 21 characters"),
        (json!({"first_name": "First"}), json!({"First": 7}), "first_name", "7 does not fit"),
        (json!({"tags": "Tags"}), json!({"Tags": "a;b"}), "tags", "an array of texts"),
        (json!({"tags": {"field": "Tags", "list": ";"}}), json!({"Tags": ["a"]}), "tags", "is no list"),
        (
            json!({"street": {"path": "Address.street"}}),
            json!({"Address": "High St"}),
            "street",
            "`Address` is no object",
        ),
        (
            json!({"full_name": {"join": ["A", "B"], "with": " "}}),
            json!({"A": [1], "B": "x"}),
            "full_name",
            "is no text",
        ),
        (json!({"born": "Born"}), json!({"Born": "2026-05-05T10:00:00Z"}), "born", "without a time of day"),
    ] {
        let mut entry_and_city = entry.clone();
        entry_and_city["city"] = json!("City");
        let mut object = raw(there.clone());
        object.insert("City".to_owned(), json!("Bonn"));
        let reading = mapping(entry_and_city).read(&object);
        assert_eq!(reading.fields, fields(json!({"city": "Bonn"})), "{entry} reads {there}");
        let [fault] = reading.faults.as_slice() else { panic!("{entry} reads {there}: {:?}", reading.faults) };
        assert_eq!(fault.field.as_str(), field);
        assert!(fault.message.contains(message), "{entry} reads {there}: {fault}");
    }
}

#[test]
fn only_what_changed_is_written_and_parts_take_their_siblings_along() {
    let mapping = mapping(json!({
        "email": "Email",
        "street": {"path": "Address.street"},
        "city": {"path": "Address.city"},
        "first_name": {"field": "Name", "split": " ", "part": 1},
        "last_name": {"field": "Name", "split": " ", "part": 2},
        "source": {"constant": "syncline", "field": "LeadSource"},
        "visits": {"field": "Visits", "direction": "read"},
    }));
    let values = fields(json!({
        "email": null, "street": "High St", "city": "Bonn", "first_name": "Mary", "last_name": "Lee", "visits": 3,
    }));
    for (changed, creating, body) in [
        (vec!["email"], false, json!({"Email": null})),
        (vec!["city"], false, json!({"Address": {"city": "Bonn"}})),
        (vec!["city", "street"], false, json!({"Address": {"city": "Bonn", "street": "High St"}})),
        (vec!["last_name"], false, json!({"Name": "Mary Lee"})),
        (vec!["visits"], false, json!({})),
        (vec!["email"], true, json!({"Email": null, "LeadSource": "syncline"})),
        (vec![], false, json!({})),
    ] {
        assert_eq!(mapping.write(&names(changed.iter().copied()), &values, creating), Ok(raw(body)), "{changed:?}");
    }
}

#[test]
fn what_could_not_be_read_back_is_never_written() {
    let split = json!({
        "first_name": {"field": "Name", "split": " ", "part": 1},
        "last_name": {"field": "Name", "split": " ", "part": 2},
    });
    let list = json!({"tags": {"field": "Tags", "list": ";"}});
    let open = json!({"city": {"field": "City", "values": {"Bonn": "BN"}}});
    for (entry, values, message) in [
        (&split, json!({"first_name": "Mary Ann", "last_name": "Lee"}), "holds the separator"),
        (&split, json!({"first_name": null, "last_name": "Lee"}), "a blank part stands beside a filled one"),
        (&split, json!({"first_name": "Mary"}), "written together with `last_name`"),
        (&list, json!({"tags": ["a;b"]}), "holds the separator of the list"),
        (&list, json!({"tags": ["a;"]}), "holds the separator of the list"),
        (&open, json!({"city": "Rome"}), "`Rome` has no spelling there"),
        (&json!({"email": {"field": "N", "type": "number"}}), json!({"email": "ann"}), "`ann` is not a number"),
    ] {
        let values = fields(values);
        let faults = mapping(entry.clone()).write(&all(&values), &values, false).unwrap_err();
        assert!(faults.iter().any(|fault| fault.message.contains(message)), "{entry} and {values:?} gave {faults:#?}");
    }
    let new = fields(json!({"first_name": "Mary"}));
    assert_eq!(
        mapping(split).write(&all(&new), &new, true),
        Ok(raw(json!({"Name": "Mary"}))),
        "a new object has no sibling to lose"
    );
}

#[test]
fn a_projection_is_what_the_system_would_show() {
    for (entry, field, value, projected) in [
        (
            json!({"seen_at": {"field": "S", "type": "epoch_s"}}),
            "seen_at",
            json!("2026-05-05T10:00:00.999Z"),
            json!("2026-05-05T10:00:00Z"),
        ),
        (
            json!({"seen_at": {"field": "S", "type": "date"}}),
            "seen_at",
            json!("2026-05-05T10:00:00Z"),
            json!("2026-05-05T00:00:00Z"),
        ),
        (
            json!({"seen_at": {"field": "S", "canonical": ["whole_seconds"]}}),
            "seen_at",
            json!("2026-05-05T10:00:00.9Z"),
            json!("2026-05-05T10:00:00Z"),
        ),
        (json!({"full_name": {"join": ["A", "B"], "with": ", "}}), "full_name", json!("Lee,Ann"), json!("Lee, Ann")),
        (json!({"city": {"field": "City", "canonical": ["lower"]}}), "city", json!("Bonn"), json!("bonn")),
        (json!({"city": "City"}), "city", json!("Bonn"), json!("Bonn")),
    ] {
        let value = &fields(json!({field: value}))[&FieldName::new(field)];
        let projected = &fields(json!({field: projected}))[&FieldName::new(field)];
        assert_eq!(mapping(entry.clone()).project(&FieldName::new(field), value).as_ref(), Ok(projected), "{entry}");
    }
    let unmapped = mapping(json!({"city": "City"})).project(&FieldName::new("email"), &Value::Null).unwrap_err();
    assert!(unmapped.message.contains("not mapped"), "{unmapped}");
}

#[test]
fn every_mistake_of_a_mapping_is_reported_with_its_key() {
    for (entry, key, message) in [
        (json!({"emial": "Email"}), "emial", "did you mean `email`?"),
        (json!({"email": {}}), "email", "name the provider's field in exactly one way"),
        (json!({"email": {"field": "A", "path": "B"}}), "email", "in exactly one way"),
        (json!({"email": ""}), "email", "is not a field name"),
        (json!({"email": {"path": "A..b"}}), "email", "has an empty step"),
        (json!({"email": "Email", "city": "Email"}), "email", "already written by `city`"),
        (json!({"street": {"path": "A.b"}, "city": "A"}), "street", "already written by `city`"),
        (
            json!({"city": "LeadSource", "source": {"constant": "x", "field": "LeadSource"}}),
            "source",
            "already written by `city`",
        ),
        (json!({"source": {"constant": "x", "field": "A", "direction": "write"}}), "source", "a constant takes"),
        (json!({"source": {"constant": null, "field": "A"}}), "source", "the model `contact` has no such field"),
        (json!({"source": {"constant": " ", "field": "A"}}), "source", "`constant` is blank"),
        (json!({"city": {"field": "A", "with": " "}}), "city", "`with` means nothing here"),
        (json!({"city": {"field": "A", "list": ";"}}), "city", "only a set is kept as a list"),
        (json!({"tags": {"field": "A", "list": "--"}}), "tags", "`list` must be one separator character"),
        (json!({"tags": {"field": "A", "type": "text"}}), "tags", "`list` with a separator"),
        (json!({"city": {"field": "A", "type": "bool"}}), "city", "cannot be kept as bool: use text, number"),
        (json!({"city": {"field": "A", "type": "number", "canonical": ["phone"]}}), "city", "a phone number is text"),
        (json!({"stage": {"field": "A", "type": "number"}}), "stage", "cannot be kept there: `lead` is not a number"),
        (json!({"born": {"field": "A", "values": {"1990-01-01": "x"}}}), "born", "have a value map"),
        (json!({"full_name": {"join": ["A", "B"]}}), "full_name", "`with` must be one separator character"),
        (json!({"full_name": {"join": ["A"], "with": " "}}), "full_name", "at least two"),
        (json!({"full_name": {"join": ["A", "A"], "with": " "}}), "full_name", "names `A` twice"),
        (json!({"visits": {"join": ["A", "B"], "with": " "}}), "visits", "a part of a text"),
        (json!({"city": {"field": "A", "split": " "}}), "city", "say which part"),
        (json!({"city": {"field": "A", "split": " ", "part": 1}}), "city", "the parts of `A` are 1"),
        (
            json!({"city": {"field": "A", "split": " ", "part": 1}, "street": {"field": "A", "split": " ", "part": 3}}),
            "city",
            "the parts of `A` are 1, 3",
        ),
        (
            json!({"city": {"field": "A", "split": " ", "part": 1}, "street": {"field": "A", "split": ";", "part": 2}}),
            "city",
            "need the same `split`",
        ),
        (json!({"stage": {"field": "A", "values": {"lead": "x", "mql": "y"}}}), "stage", "`values` lacks customer"),
        (
            json!({"stage": {"field": "A", "values": {"lead": "x", "mql": "x", "customer": "z"}}}),
            "stage",
            "`lead` and `mql` are both `x`",
        ),
        (
            json!({"stage": {"field": "A", "values": {"lead": "x", "mlq": "y", "customer": "z"}}}),
            "stage",
            "`mlq`, which is no value",
        ),
        (
            json!({"stage": {"field": "A", "values": {"lead": [], "mql": "y", "customer": "z"}}}),
            "stage",
            "use text, a number",
        ),
        (json!({"score": "Score"}), "score", "computed by the service"),
    ] {
        let errors = Mapping::new(&model(), &spec(entry.clone())).unwrap_err();
        let found = errors.iter().any(|error| error.key == key && error.problem.to_string().contains(message));
        assert!(found, "{entry} gave {errors:#?}");
    }
}

#[test]
fn several_mistakes_are_reported_together_in_the_order_of_their_keys() {
    let entry = json!({"zip": "Zip", "stage": {"field": "A", "values": {"lead": "x"}}, "emial": "E", "city": {"field": "B", "list": ";"}});
    let errors = Mapping::new(&model(), &spec(entry)).unwrap_err();
    let keys: Vec<&str> = errors.iter().map(|error| error.key.as_str()).collect();
    assert_eq!(keys, ["city", "emial", "stage", "zip"]);
}

#[test]
fn specs_are_strict_and_have_a_short_form() {
    let short: FieldSpec = serde_json::from_value(json!("Email")).unwrap();
    let long: FieldSpec = serde_json::from_value(json!({"field": "Email"})).unwrap();
    assert_eq!(short, long);
    for (wrong, message) in [
        (json!({"feild": "Email"}), "unknown field `feild`"),
        (json!({"field": "Email", "direction": "up"}), "unknown variant `up`"),
        (json!(7), "the provider's field name, or a map"),
    ] {
        let refused = serde_json::from_value::<FieldSpec>(wrong.clone()).unwrap_err().to_string();
        assert!(refused.contains(message), "{wrong} was refused with: {refused}");
    }
}

#[test]
fn a_read_only_value_map_need_not_spell_every_value() {
    let entry = json!({"stage": {"field": "A", "direction": "read", "values": {"lead": "Open"}}});
    assert_eq!(mapping(entry).read(&raw(json!({"A": "Open"}))).fields, fields(json!({"stage": "lead"})));
}

#[test]
fn refused_remote_fields_are_turned_back_into_the_models() {
    let mapping = mapping(json!({
        "email": "Email",
        "full_name": {"join": ["First", "Last"], "with": " "},
        "street": {"path": "Address.street"},
        "city": {"path": "Address.city"},
        "stage": {"field": "Status", "direction": "write"},
    }));
    for (remote, expected) in [
        ("Email", vec!["email"]),
        ("Last", vec!["full_name"]),
        ("Address", vec!["city", "street"]),
        ("Address.city", vec!["city"]),
        ("Other", vec![]),
    ] {
        let found: BTreeSet<FieldName> = mapping.fields_of_remote(remote).into_iter().collect();
        assert_eq!(found, names(expected), "{remote}");
    }
    assert_eq!(mapping.remote_fields(), ["Address", "Email", "First", "Last"], "only what is read is asked for");
}

/// A field's history as table rows: value, time, whether we wrote it.
type History<'a> = (&'a str, &'a [(Json, i64, bool)]);

fn object(fields: Json, history: &[History<'_>]) -> RemoteObject {
    let past =
        |(value, at, by_us): &(Json, i64, bool)| PastValue { value: value.clone(), at: Millis(*at), by_us: *by_us };
    let history: BTreeMap<_, _> =
        history.iter().map(|(name, entries)| ((*name).to_owned(), entries.iter().map(past).collect())).collect();
    RemoteObject {
        id: "7".into(),
        aliases: Vec::new(),
        deleted: false,
        version: Some(RemoteVersion { stamp: Millis(9_000), precision_ms: 1 }),
        author: None,
        fields: raw(fields),
        history,
    }
}

fn past(value: &str, at: i64, by_us: bool) -> Past {
    Past {
        value: if value.is_empty() { Value::Null } else { Value::text(value) },
        at: Millis(at),
        stamp: Millis(at),
        by_us,
    }
}

#[test]
fn history_gives_clocks_and_past_values() {
    let mapping =
        mapping(json!({"email": "email", "full_name": {"join": ["first", "last"], "with": " "}, "city": "city"}));
    let object = object(
        json!({"email": "B@x.y", "first": "Ann", "last": "Lee", "city": "Bonn"}),
        &[
            ("email", &[(json!("B@x.y"), 5_000, true), (json!("a@x.y"), 1_000, false)]),
            ("first", &[(json!("Ann"), 4_000, false)]),
            ("last", &[(json!("Lee"), 3_000, true), (json!("May"), 2_000, false)]),
        ],
    );
    let observation = mapping.observe(&object, None, Source::ById, Tick(3)).unwrap();
    let clock = |at| Clock { at: Millis(at), precision_ms: 1, kind: ClockKind::Field };
    assert_eq!(
        observation.clocks,
        BTreeMap::from([("email".into(), clock(5_000)), ("full_name".into(), clock(4_000))])
    );
    assert_eq!(observation.past[&FieldName::new("email")], [past("b@x.y", 5_000, true), past("a@x.y", 1_000, false)]);
    assert_eq!(
        observation.past[&FieldName::new("full_name")],
        [past("Ann Lee", 4_000, false), past("Lee", 3_000, true), past("May", 2_000, false)],
    );
    assert_eq!((observation.source, observation.begun, observation.version), (Source::ById, Tick(3), object.version));
}

#[test]
fn past_values_that_nobody_can_take_are_left_out() {
    let mapping = mapping(json!({"stage": "stage"}));
    let object = object(
        json!({"stage": "mql"}),
        &[("stage", &[(json!("mql"), 2_000, false), (json!("subscriber"), 1_000, false)])],
    );
    let observation = mapping.observe(&object, None, Source::ById, Tick(0)).unwrap();
    assert_eq!(observation.past[&FieldName::new("stage")], [past("mql", 2_000, false)]);
}

#[test]
fn the_key_field_names_our_record_only_if_it_holds_an_id_of_ours() {
    let id = "0190163d-8694-739b-aea5-966c26f8ad91";
    for (shown, ours) in
        [(json!(id), true), (json!(format!(" {id} ")), true), (json!("0815"), false), (Json::Null, false)]
    {
        let object = object(json!({"email": "a@b.c", "Key": shown}), &[]);
        let mapping = mapping(json!({"email": "email"}));
        let keyed = mapping.observe(&object, Some("Key"), Source::List, Tick(0)).unwrap();
        assert_eq!(keyed.key, ours.then(|| id.parse().unwrap()), "{shown}");
        assert_eq!(
            mapping.observe(&object, None, Source::List, Tick(0)).unwrap().key,
            None,
            "{shown} without a key field"
        );
    }
}

#[test]
fn faults_hold_an_object_back_unless_it_is_deleted() {
    let mapping = mapping(json!({"stage": "stage", "visits": "visits", "city": "city"}));
    let mut object = object(json!({"stage": "x", "visits": "many", "city": "Bonn"}), &[]);
    let faults = mapping.observe(&object, None, Source::ById, Tick(0)).unwrap_err();
    assert_eq!(faults.len(), 2, "all faults at once: {faults:?}");
    object.deleted = true;
    let observation = mapping.observe(&object, None, Source::ById, Tick(0)).unwrap();
    assert_eq!((observation.deleted, observation.fields), (true, fields(json!({"city": "Bonn"}))));
}
