//! Types: what each shows, takes and refuses.

use serde_json::{Value, json};
use syncline_core::remote::{Remedy, WriteOutcome, WriteVerb};

use crate::lab::{Lab, id_of};

const TYPES: &str = "
CREATE TYPE mood AS ENUM ('sad', 'fine');
CREATE DOMAIN score AS numeric(6, 2) CHECK (VALUE >= 0);
CREATE TABLE things (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    number int GENERATED ALWAYS AS IDENTITY,
    flag boolean, small smallint, whole int, large bigint, price numeric, points score, ratio double precision,
    code varchar(5), fixed char(3), words text, mood mood, day date, clock timestamp, moment timestamptz, other uuid,
    tags text[], numbers int[], extra jsonb, plain json, bytes bytea,
    twice int GENERATED ALWAYS AS (whole * 2) STORED
);
COMMENT ON COLUMN things.words IS 'What they say';";

async fn things() -> Lab {
    Lab::of(TYPES, "things", json!({"capture": "triggers"})).await
}

#[tokio::test]
async fn values_come_back_as_they_were_written() {
    let lab = things().await;
    let cases: &[(&str, Value, Value)] = &[
        ("flag", json!(true), json!(true)),
        ("flag", json!("false"), json!(false)),
        ("small", json!(-7), json!(-7)),
        ("whole", json!("12"), json!(12)),
        ("large", json!(i64::MAX), json!(i64::MAX)),
        ("price", json!("12345678901234567890.1234567890"), json!("12345678901234567890.1234567890")),
        ("price", json!(0.1), json!("0.1")),
        ("points", json!("7.5"), json!("7.50")),
        ("ratio", json!(0.1), json!(0.1)),
        ("code", json!("ünï"), json!("ünï")),
        ("fixed", json!("ab"), json!("ab")),
        ("words", json!("it's \"so\"; -- \\ \n 漢"), json!("it's \"so\"; -- \\ \n 漢")),
        ("words", json!(""), json!("")),
        ("words", json!(null), json!(null)),
        ("mood", json!("fine"), json!("fine")),
        ("day", json!("2026-02-28"), json!("2026-02-28")),
        ("clock", json!("2026-05-05T10:00:00.250Z"), json!("2026-05-05T10:00:00.25Z")),
        ("moment", json!("2026-05-05T12:00:00.123+02:00"), json!("2026-05-05T10:00:00.123Z")),
        ("other", json!("0195F3A0-0000-7000-8000-000000000001"), json!("0195f3a0-0000-7000-8000-000000000001")),
        ("tags", json!(["a", "b, c", "\"d\"", "{e}"]), json!(["a", "b, c", "\"d\"", "{e}"])),
        ("tags", json!([]), json!([])),
        ("tags", json!(null), json!(null)),
        ("numbers", json!(["1", "2"]), json!(["1", "2"])),
        ("extra", json!({"a": {"b": [1, "x", null]}}), json!({"a": {"b": [1, "x", null]}})),
        ("plain", json!("text"), json!("text")),
    ];
    for (field, value, shown) in cases {
        let verb = WriteVerb::Create { key: None };
        let created = lab.write(verb, json!({ *field: value }), &[field]).await;
        let id = id_of(&created);
        let WriteOutcome::Applied { object: Some(object), whole: true, created: true, .. } = created else {
            panic!("{field}: {created:?}");
        };
        assert_eq!(&object.fields[*field], shown, "{field}, as the answer shows it");
        assert_eq!(&lab.one(&id, &[field]).await.fields[*field], shown, "{field}");
        let again = lab.update(&id, object.version, json!({ *field: value })).await;
        assert_eq!(id_of(&again), id, "{field}");
        assert_eq!(&lab.one(&id, &[field]).await.fields[*field], shown, "{field}, once more");
    }
}

#[tokio::test]
async fn parts_of_an_object_are_written_beside_the_others() {
    let lab = things().await;
    lab.database
        .run("INSERT INTO things (extra) VALUES ('{\"a\": {\"kept\": 12345678901234567890.5, \"x\": 1}, \"b\": 2}')")
        .await;
    let id: String =
        sqlx::query_scalar("SELECT id::text FROM things").fetch_one(&lab.database.pool).await.expect("an id");
    lab.update(&id, None, json!({"extra": {"a": {"x": 9, "new": {"deep": true}}, "c": null}})).await;
    let text: String =
        sqlx::query_scalar("SELECT extra::text FROM things").fetch_one(&lab.database.pool).await.expect("a value");
    assert!(text.contains("12345678901234567890.5"), "neighbours keep their digits: {text}");
    let shown = lab.one(&id, &["extra"]).await.fields["extra"].clone();
    assert_eq!((&shown["a"]["x"], &shown["a"]["new"]["deep"], &shown["b"]), (&json!(9), &json!(true), &json!(2)));
}

#[tokio::test]
async fn what_does_not_fit_is_refused_with_its_field() {
    let lab = things().await;
    let cases = [
        ("whole", json!("twelve")),
        ("small", json!(70_000)),
        ("points", json!("12345.67")),
        ("points", json!("-1")),
        ("code", json!("sixsix")),
        ("mood", json!("glad")),
        ("day", json!("2026-02-30")),
        ("moment", json!("soon")),
        ("other", json!("no uuid")),
        ("numbers", json!(["one"])),
        ("number", json!(7)),
        ("twice", json!(7)),
        ("bytes", json!("\\x00")),
        ("nothing", json!("x")),
    ];
    for (field, value) in cases {
        let outcome = lab.write(WriteVerb::Create { key: None }, json!({"flag": true, field: value}), &[]).await;
        let WriteOutcome::Refused(refusal) = outcome else { panic!("{field}: {outcome:?}") };
        // A check of a domain does not say of which column it is.
        assert!(refusal.fields == [field] || field == "points", "{field}: {refusal:?}");
    }
    let count: i64 =
        sqlx::query_scalar("SELECT count(*) FROM things").fetch_one(&lab.database.pool).await.expect("a count");
    assert_eq!(count, 0);
}

#[tokio::test]
async fn the_schema_tells_what_may_be_done() {
    let lab = things().await;
    let schema = lab.connector.reader().describe(&lab.credentials, &"public.things".into()).await.expect("a schema");
    let field = |name: &str| &schema.fields[name];
    assert_eq!((field("code").max_len, field("fixed").max_len, field("words").max_len), (Some(5), Some(3), None));
    assert_eq!(field("mood").options, ["sad", "fine"]);
    assert_eq!(field("words").label, "What they say");
    assert_eq!((field("points").ty.as_str(), field("price").ty.as_str()), ("score", "numeric"));
    assert_eq!((field("tags").ty.as_str(), field("code").ty.as_str()), ("text[]", "character varying(5)"));
    for (name, writable, calculated, unique) in [
        ("id", true, false, true),
        ("number", false, true, false),
        ("twice", false, true, false),
        ("bytes", false, false, false),
        ("words", true, false, false),
    ] {
        let is = field(name);
        assert_eq!((is.writable, is.calculated, is.unique), (writable, calculated, unique), "{name}");
    }
    let bytes = lab.by_id(&["0195f3a0-0000-7000-8000-000000000001"], &["bytes"]).await;
    assert_eq!(bytes.map_err(|error| error.remedy).err(), Some(Remedy::Configure));
}

/// A column that is gone is an error that names it, and is never shown as a blank.
#[tokio::test]
async fn changes_of_the_table_are_noticed() {
    let lab = things().await;
    let created = lab.write(WriteVerb::Create { key: None }, json!({"words": "one", "whole": 1}), &["words"]).await;
    let id = id_of(&created);
    lab.database.run("ALTER TABLE things RENAME COLUMN words TO sayings").await;
    for _ in 0..2 {
        let read = lab.by_id(&[&id], &["words"]).await.expect_err("the column is gone");
        assert_eq!(read.remedy, Remedy::Configure);
        assert!(read.message.contains("words"), "{read}");
    }
    let written = lab.update(&id, None, json!({"words": "two"})).await;
    let WriteOutcome::Refused(refusal) = written else { panic!("{written:?}") };
    assert_eq!(refusal.fields, ["words"]);
    lab.database.run("ALTER TABLE things DROP COLUMN twice; ALTER TABLE things ALTER COLUMN whole TYPE text").await;
    lab.database.run("UPDATE things SET whole = 'many'").await;
    let _ = lab.by_id(&[&id], &["whole"]).await;
    assert_eq!(lab.one(&id, &["whole"]).await.fields["whole"], "many");
}
