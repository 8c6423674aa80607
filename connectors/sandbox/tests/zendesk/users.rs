//! Users and organisations: addresses, external ids, upserts, merges.

use reqwest::Method;
use serde_json::{Value, json};

use crate::lab::{AGENT, As, Lab, codes, column};

#[tokio::test]
async fn what_is_unique_is_guarded() {
    let lab = Lab::start().await;
    lab.user(json!({"name": "Ann", "email": "Ann@Example.com", "external_id": "X1"})).await;
    for (user, attribute, code) in [
        (json!({"name": "Bob", "email": "ann@example.COM"}), "email", "DuplicateValue"),
        (json!({"name": "Bob", "external_id": "x1"}), "external_id", "DuplicateValue"),
        (json!({"name": " "}), "name", "BlankValue"),
        (json!({"email": "bob@example.com"}), "name", "BlankValue"),
        (json!({"name": "Bob", "email": "bob@"}), "email", "InvalidFormat"),
        (json!({"name": "Bob", "role": "king"}), "role", "InvalidValue"),
        (json!({"name": "Bob", "organization_id": 5}), "organization_id", "InvalidValue"),
    ] {
        let refused = lab.post("users", json!({ "user": user })).await.expect(422);
        assert_eq!(refused["error"], "RecordInvalid");
        assert_eq!(codes(&refused, attribute), [code], "{user}");
    }
    for (organization, attribute) in
        [(json!({"name": " acme"}), "name"), (json!({"name": "B", "external_id": "o1"}), "external_id")]
    {
        if attribute == "name" {
            let first = json!({"organization": {"name": " Acme ", "external_id": "O1"}});
            assert_eq!(lab.post("organizations", first).await.expect(201)["organization"]["name"], "Acme");
        }
        let refused = lab.post("organizations", json!({ "organization": organization })).await.expect(422);
        assert_eq!(codes(&refused, attribute), ["DuplicateValue"]);
    }
    // External ids of tickets are anybody's.
    lab.ticket(json!({"external_id": "T1"})).await;
    lab.ticket(json!({"external_id": "T1"})).await;
    assert_eq!(lab.get("tickets?external_id=T1").await.expect(200)["count"], 2);
}

#[tokio::test]
async fn a_new_address_stands_beside_the_first() {
    let lab = Lab::start().await;
    let id = lab.user(json!({"name": "Ann", "email": "ann@example.com"})).await;
    let path = format!("users/{id}");
    let change = || json!({"user": {"email": "Second@Example.com"}});
    assert_eq!(lab.put(&path, change()).await.expect(200)["user"]["email"], "ann@example.com");
    lab.put(&path, change()).await.expect(200);
    let identities = lab.get(&format!("{path}/identities")).await.expect(200)["identities"].clone();
    assert_eq!(column(&identities, "value"), ["ann@example.com", "second@example.com"]);
    let refused = lab.post("users", json!({"user": {"name": "Bob", "email": "second@example.com"}})).await.expect(422);
    assert_eq!(codes(&refused, "email"), ["DuplicateValue"]);
    let second = identities[1]["id"].clone();
    lab.put(&format!("{path}/identities/{second}/make_primary"), Value::Null).await.expect(200);
    assert_eq!(lab.get(&path).await.expect(200)["user"]["email"], "second@example.com");
    lab.delete(&format!("{path}/identities/{second}")).await.expect(204);
    assert_eq!(lab.get(&format!("{path}/identities")).await.expect(200)["count"], 1);
    lab.fault("second_address", 0.0).await;
    assert_eq!(
        lab.put(&path, json!({"user": {"email": "third@example.com"}})).await.expect(200)["user"]["email"],
        "third@example.com"
    );
}

#[tokio::test]
async fn an_address_is_changed_where_it_stands() {
    let lab = Lab::start().await;
    let ann = lab.user(json!({"name": "Ann", "email": "ann@example.com"})).await;
    lab.user(json!({"name": "Bob", "email": "bob@example.com"})).await;
    let path = format!("users/{ann}/identities");
    let first = lab.get(&path).await.expect(200)["identities"][0]["id"].clone();
    let identity =
        |value: &str, primary: bool| json!({"identity": {"type": "email", "value": value, "primary": primary}});
    for (value, code) in [("bob@example.com", "DuplicateValue"), ("no address", "InvalidFormat")] {
        let refused = lab.put(&format!("{path}/{first}"), identity(value, false)).await.expect(422);
        assert_eq!(codes(&refused, "value"), [code]);
    }
    let changed = lab.put(&format!("{path}/{first}"), identity("Ann@New.example", false)).await.expect(200);
    assert_eq!(
        (&changed["identity"]["value"], &changed["identity"]["primary"]),
        (&json!("ann@new.example"), &json!(true))
    );
    lab.post(&path, identity("second@example.com", false)).await.expect(201);
    lab.post(&path, identity("first@example.com", true)).await.expect(201);
    let identities = lab.get(&path).await.expect(200)["identities"].clone();
    assert_eq!(column(&identities, "value"), ["first@example.com", "second@example.com", "ann@new.example"]);
    assert_eq!(lab.get(&format!("users/{ann}")).await.expect(200)["user"]["email"], "first@example.com");
}

#[tokio::test]
async fn an_upsert_finds_by_external_id_or_address() {
    let lab = Lab::start().await;
    let post = async |user: Value, status| {
        lab.post("users/create_or_update", json!({ "user": user })).await.expect(status)["user"].clone()
    };
    let first = post(json!({"name": "Ann", "email": "ann@example.com", "external_id": "Ab1"}), 201).await;
    let second = post(json!({"external_id": "aB1", "notes": "n"}), 200).await;
    assert_eq!((&first["id"], &second["external_id"]), (&second["id"], &json!("aB1")), "the stored case is rewritten");
    assert_eq!(post(json!({"email": "ANN@example.com", "details": "d"}), 200).await["id"], first["id"]);
    assert_ne!(post(json!({"name": "Bob", "email": "bob@example.com"}), 201).await["id"], first["id"]);
    for path in ["users/search?external_id=ab1", "users/search?query=ann@", "users/show_many?external_ids=AB1"] {
        let found = lab.get(path).await.expect(200);
        assert_eq!(column(&found["users"], "id"), [first["id"].to_string()], "{path}");
    }
    let organization = |name: &str| json!({"organization": {"name": name, "external_id": "o"}});
    lab.post("organizations/create_or_update", organization("Acme")).await.expect(201);
    lab.post("organizations/create_or_update", organization("Acme Inc")).await.expect(200);
    let found = lab.get("organizations/search?name=acme inc").await.expect(200);
    assert_eq!(column(&found["organizations"], "name"), ["Acme Inc"]);
    let namesake = json!({"organization": {"name": "acme inc", "external_id": "p"}});
    let refused = lab.post("organizations/create_or_update", namesake).await.expect(422);
    assert_eq!(codes(&refused, "name"), ["DuplicateValue"], "a name finds nothing");
}

#[tokio::test]
async fn a_merged_user_lives_on_in_the_other() {
    let lab = Lab::start().await;
    let loser = lab.user(json!({"name": "A. Lee", "email": "a@example.com"})).await;
    let winner = lab.user(json!({"name": "Ann Lee", "email": "ann@example.com"})).await;
    let ticket = lab.ticket(json!({"requester_id": loser})).await;
    let merged = lab.put(&format!("users/{loser}/merge"), json!({"user": {"id": winner}})).await.expect(200);
    assert_eq!(merged["user"]["id"], winner);
    lab.get(&format!("users/{loser}")).await.expect(404);
    assert_eq!(lab.show(ticket).await["requester_id"], winner);
    let identities = lab.get(&format!("users/{winner}/identities")).await.expect(200);
    assert_eq!(column(&identities["identities"], "value"), ["ann@example.com", "a@example.com"]);
    lab.put(&format!("users/{winner}/merge"), json!({"user": {"id": AGENT}})).await.expect(422);
}

#[tokio::test]
async fn an_organisation_that_goes_lets_its_people_go() {
    let lab = Lab::start().await;
    let acme =
        lab.post("organizations", json!({"organization": {"name": "Acme"}})).await.expect(201)["organization"]["id"]
            .clone();
    let ann = lab.user(json!({"name": "Ann", "organization_id": acme})).await;
    let ticket = lab.ticket(json!({"requester_id": ann})).await;
    assert_eq!(lab.show(ticket).await["organization_id"], acme, "a ticket belongs where its requester does");
    for (path, member) in [("users", "users"), ("tickets", "tickets")] {
        let listed = lab.get(&format!("organizations/{acme}/{path}")).await.expect(200);
        assert_eq!(listed[member].as_array().unwrap().len(), 1, "{path}");
    }
    assert_eq!(lab.get(&format!("users/{ann}/tickets/requested")).await.expect(200)["count"], 1);
    assert_eq!(lab.get(&format!("users/{ann}/organizations")).await.expect(200)["count"], 1);
    lab.delete(&format!("organizations/{acme}")).await.expect(204);
    lab.get(&format!("organizations/{acme}")).await.expect(404);
    assert_eq!(lab.get(&format!("users/{ann}")).await.expect(200)["user"]["organization_id"], Value::Null);
    lab.seconds(120);
    let start = lab.now_s() - 600;
    let path = format!("incremental/organizations.json?start_time={start}");
    let export = lab.ask(As::App, Method::GET, &path, Value::Null).await.expect(200);
    assert_eq!(export["organizations"][0]["deleted_at"], "2026-05-05T16:53:20Z");
}
