//! Single objects: create, read, update, archive, restore, merge, erase, list, history.

use reqwest::Method;
use serde_json::{Value, json};
use syncline_sandbox::Population;

use crate::lab::{As, CONTACTS, Lab, START_MS, ids};

fn iso(ms: i64) -> String {
    syncline_sandbox::Micros::from_millis(ms).to_rfc3339_millis()
}

#[tokio::test]
async fn a_contact_is_created_with_normalised_values_and_platform_fields() {
    let lab = Lab::start().await;
    lab.advance_ms(123);
    let properties = json!({"email": "Ann@Example.COM", "phone": "+1 (888) 482-7768", "firstname": "Ann", "city": ""});
    let body = lab.post(CONTACTS, json!({ "properties": properties })).await.expect(201);
    let at = iso(START_MS + 123);
    assert_eq!(body["createdAt"], at);
    assert_eq!(body["updatedAt"], at);
    assert_eq!(body["archived"], false);
    let shown = &body["properties"];
    for (name, value) in [
        ("email", json!("ann@example.com")),
        ("phone", json!("+18884827768")),
        ("firstname", json!("Ann")),
        ("lifecyclestage", json!("lead")),
        ("hs_email_domain", json!("example.com")),
        ("hs_object_id", body["id"].clone()),
        ("lastmodifieddate", json!(at)),
        ("createdate", json!(at)),
    ] {
        assert_eq!(shown[name], value, "{name}");
    }
    assert!(shown.get("city").is_none());
}

#[tokio::test]
async fn rules_of_values_can_be_switched_off() {
    let lab = Lab::start().await;
    lab.fault("phone_validation", 0.0).await;
    lab.fault("default_lifecycle_stage", 0.0).await;
    lab.fault("lifecycle_forward_only", 0.0).await;
    let id = lab.contact(json!({"phone": "+1 (888) 482-7768"})).await;
    let path = format!("{CONTACTS}/{id}?properties=phone,lifecyclestage");
    let body = lab.get(&path).await.expect(200);
    assert_eq!(body["properties"]["phone"], "+1 (888) 482-7768");
    assert_eq!(body["properties"]["lifecyclestage"], Value::Null);
    for stage in ["customer", "lead"] {
        lab.patch(&path, json!({"properties": {"lifecyclestage": stage}})).await.expect(200);
    }
    assert_eq!(lab.get(&path).await.body["properties"]["lifecyclestage"], "lead");
}

#[tokio::test]
async fn reads_show_defaults_or_what_is_asked_and_ignore_what_does_not_exist() {
    let lab = Lab::start().await;
    let id = lab.contact(json!({"email": "a@b.de", "city": "Bonn"})).await;
    for (query, expected) in [
        ("", vec!["createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname"]),
        ("?properties=city,misspelt", vec!["city", "createdate", "hs_object_id", "lastmodifieddate"]),
        ("?properties=city&properties=zip", vec!["city", "createdate", "hs_object_id", "lastmodifieddate", "zip"]),
    ] {
        let body = lab.get(&format!("{CONTACTS}/{id}{query}")).await.expect(200);
        let mut names: Vec<_> = body["properties"].as_object().unwrap().keys().cloned().collect();
        names.sort();
        assert_eq!(names, expected, "{query}");
    }
    let body = lab.get(&format!("{CONTACTS}/a%40b.de?idProperty=email&properties=zip")).await.expect(200);
    assert_eq!(body["id"], id);
    assert_eq!(body["properties"]["zip"], Value::Null);
}

#[tokio::test]
async fn every_spelling_of_type_and_version_leads_to_the_same_record() {
    let lab = Lab::start().await;
    let id = lab.contact(json!({"email": "a@b.de"})).await;
    for (path, status) in [
        (format!("/crm/v3/objects/contact/{id}"), 200),
        (format!("/crm/v3/objects/0-1/{id}"), 200),
        (format!("/crm/objects/2026-03/contacts/{id}"), 200),
        (format!("/crm/objects/2026-09/0-1/{id}"), 200),
        (format!("/crm/objects/2020-01/contacts/{id}"), 404),
        (format!("/crm/v3/objects/companies/{id}"), 404),
        (format!("/crm/v3/objects/unicorns/{id}"), 400),
        (format!("{CONTACTS}/abc"), 404),
        (format!("{CONTACTS}/999"), 404),
        (format!("{CONTACTS}/{id}?idProperty=firstname"), 400),
        (format!("{CONTACTS}/{id}?idProperty=nothing"), 400),
        (format!("{CONTACTS}/x%40y.de?idProperty=email"), 404),
        ("/crm/v9/objects/contacts".to_owned(), 404),
    ] {
        let answer = lab.get(&path).await;
        assert_eq!(answer.status, status, "{path} {}", answer.body);
        if status != 200 {
            assert_eq!(answer.body["status"], "error", "{path}");
            assert!(answer.body["correlationId"].is_string(), "{path}");
        }
    }
}

#[tokio::test]
async fn refused_writes_say_why_and_change_nothing() {
    let lab = Lab::start().await;
    let ann = lab.contact(json!({"email": "ann@example.com"})).await;
    let bob = lab.contact(json!({"email": "bob@example.com"})).await;
    let before = lab.get(&format!("{CONTACTS}/{bob}")).await.body;
    for (properties, status, code) in [
        (json!({"email": "nonsense"}), 400, "INVALID_EMAIL"),
        (json!({"nosuch": "x"}), 400, "PROPERTY_DOESNT_EXIST"),
        (json!({"createdate": "2020-01-01"}), 400, "READ_ONLY_VALUE"),
        (json!({"hs_lead_status": "new"}), 400, "INVALID_OPTION"),
        (json!({"city": "Bonn", "birthdate": "2020-01-01T12:00:00Z"}), 400, "INVALID_DATE"),
        (json!({"city": ["Bonn"]}), 400, "INVALID_VALUE"),
        (json!({"email": "ANN@example.com"}), 409, ""),
    ] {
        let answer = lab.patch(&format!("{CONTACTS}/{bob}"), json!({ "properties": properties })).await;
        let body = answer.expect(status);
        if status == 409 {
            assert_eq!(body["category"], "CONFLICT");
            assert_eq!(body["message"], format!("Contact already exists. Existing ID: {ann}"));
        } else {
            assert_eq!(body["category"], "VALIDATION_ERROR");
            assert_eq!(body["errors"][0]["code"], code);
            assert!(body["message"].as_str().unwrap().starts_with("Property values were not valid: [{"));
        }
    }
    assert_eq!(lab.get(&format!("{CONTACTS}/{bob}")).await.body, before);
    assert_eq!(lab.counts().await["writes"]["rejected"], 7);
}

#[tokio::test]
async fn malformed_bodies_are_400() {
    let lab = Lab::start().await;
    for body in [json!({}), json!([]), json!({"properties": "x"}), json!("x")] {
        lab.post(CONTACTS, body).await.expect(400);
    }
}

#[tokio::test]
async fn an_update_shows_what_was_sent_and_moves_the_stamp_only_for_a_change() {
    let lab = Lab::start().await;
    let id = lab.contact(json!({"firstname": "Ann", "city": "Bonn"})).await;
    let path = format!("{CONTACTS}/{id}");
    lab.advance_ms(1_000);
    let body = lab.patch(&path, json!({"properties": {"firstname": "Ann"}})).await.expect(200);
    assert_eq!(body["updatedAt"], body["createdAt"], "a write of the stored value changes nothing");
    lab.advance_ms(1_000);
    let body = lab.patch(&path, json!({"properties": {"firstname": "Anne", "city": ""}})).await.expect(200);
    assert_eq!(body["updatedAt"], iso(START_MS + 2_000).replace(".000Z", "Z"));
    assert_eq!(body["properties"]["firstname"], "Anne");
    assert_eq!(body["properties"]["city"], Value::Null);
    assert!(body["properties"].get("lastname").is_none());
    let writes = lab.counts().await["writes"].clone();
    assert_eq!((writes["accepted"].clone(), writes["redundant"].clone()), (json!(3), json!(1)));
}

#[tokio::test]
async fn an_earlier_stage_is_accepted_and_ignored_unless_cleared_first() {
    let lab = Lab::start().await;
    let id = lab.contact(json!({"lifecyclestage": "customer"})).await;
    let path = format!("{CONTACTS}/{id}");
    for (sent, stored) in [("lead", json!("customer")), ("", Value::Null), ("lead", json!("lead"))] {
        let body = lab.patch(&path, json!({"properties": {"lifecyclestage": sent}})).await.expect(200);
        assert_eq!(body["properties"]["lifecyclestage"], stored);
    }
    assert_eq!(lab.fired("lifecycle_forward_only").await, 1);
}

#[tokio::test]
async fn history_is_newest_first_with_authors() {
    let lab = Lab::start().await;
    let id = lab.contact(json!({"city": "Bonn"})).await;
    let path = format!("{CONTACTS}/{id}");
    for (who, city) in [(As::App, "Köln"), (As::User, ""), (As::User, "")] {
        lab.advance_ms(1_000);
        lab.ask(who, Method::PATCH, &path, json!({"properties": {"city": city}})).await.expect(200);
    }
    let body = lab.get(&format!("{path}?propertiesWithHistory=city,zip,lastmodifieddate")).await.expect(200);
    let history = &body["propertiesWithHistory"];
    let versions: Vec<_> = history["city"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| (version["value"].as_str().unwrap(), version["sourceType"].as_str().unwrap()))
        .collect();
    assert_eq!(versions, [("", "CRM_UI"), ("Köln", "INTEGRATION"), ("Bonn", "CRM_UI")]);
    assert_eq!(history["city"][1]["sourceId"], "54321");
    assert_eq!(history["city"][0]["sourceId"], "userId:77");
    assert_eq!(history["city"][0]["updatedByUserId"], 77);
    assert_eq!(history["city"][0]["timestamp"], "2026-05-05T16:53:22Z");
    assert_eq!(history["zip"], json!([]));
    assert_eq!(body["properties"]["city"], Value::Null);
}

#[tokio::test]
async fn imported_contacts_have_a_history_of_one_import() {
    let lab = Lab::with(Population::demo().sized(5, 5)).await;
    let body = lab.get(&format!("{CONTACTS}?limit=5&propertiesWithHistory=email")).await.expect(200);
    for row in body["results"].as_array().unwrap() {
        let versions = row["propertiesWithHistory"]["email"].as_array().unwrap();
        assert_eq!(versions.len(), 1);
        assert_eq!(versions[0]["sourceType"], "IMPORT");
        assert_eq!(versions[0]["timestamp"], row["createdAt"]);
    }
}

#[tokio::test]
async fn the_list_pages_by_id_and_keeps_the_archive_apart() {
    let lab = Lab::with(Population::demo().sized(25, 25)).await;
    let (mut after, mut all) = (String::new(), Vec::new());
    loop {
        let body = lab.get(&format!("{CONTACTS}?limit=10&after={after}")).await.expect(200);
        all.extend(ids(&body));
        match body["paging"]["next"]["after"].as_str() {
            Some(next) => after = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(all.len(), 25);
    assert!(all.is_sorted_by_key(|id| id.parse::<u64>().unwrap()));
    lab.delete(&format!("{CONTACTS}/{}", all[3])).await.expect(204);
    assert_eq!(ids(&lab.get(&format!("{CONTACTS}?limit=100")).await.body).len(), 24);
    let archived = lab.get(&format!("{CONTACTS}?archived=true")).await.expect(200);
    assert_eq!(ids(&archived), [all[3].clone()]);
    assert_eq!(archived["results"][0]["archived"], true);
    assert!(archived["results"][0]["archivedAt"].is_string());
    for query in ["limit=101", "limit=0", "limit=x", "after=x", "limit=51&propertiesWithHistory=email"] {
        lab.get(&format!("{CONTACTS}?{query}")).await.expect(400);
    }
}

#[tokio::test]
async fn the_next_link_leads_to_the_next_page() {
    let lab = Lab::with(Population::demo().sized(3, 3)).await;
    let body = lab.get(&format!("{CONTACTS}?limit=2&properties=city")).await.expect(200);
    let link = body["paging"]["next"]["link"].as_str().unwrap();
    let path = link.strip_prefix(&lab.running().base_url).unwrap();
    let next = lab.get(path).await.expect(200);
    assert_eq!(ids(&next).len(), 1);
    assert!(next["results"][0]["properties"].get("city").is_some());
    assert!(next.get("paging").is_none());
}

#[tokio::test]
async fn an_archived_contact_is_gone_until_it_is_restored() {
    let lab = Lab::start().await;
    let id = lab.contact(json!({"email": "ann@example.com"})).await;
    let path = format!("{CONTACTS}/{id}");
    for _ in 0..2 {
        lab.delete(&path).await.expect(204);
    }
    lab.delete(&format!("{CONTACTS}/424242")).await.expect(204);
    lab.get(&path).await.expect(404);
    lab.get(&format!("{path}?archived=true")).await.expect(200);
    lab.patch(&path, json!({"properties": {"city": "Bonn"}})).await.expect(404);
    assert_eq!(lab.search(json!({})).await.body["total"], 0);
    let restore = format!("/admin/users/anna/contacts/{id}/restore");
    lab.post(&restore, Value::Null).await.expect(200);
    assert_eq!(lab.get(&path).await.expect(200)["archived"], false);
    lab.post(&restore, Value::Null).await.expect(404);
}

#[tokio::test]
async fn an_address_is_free_again_after_the_archive_but_then_bars_the_restore() {
    let lab = Lab::start().await;
    let old = lab.contact(json!({"email": "ann@example.com"})).await;
    lab.delete(&format!("{CONTACTS}/{old}")).await.expect(204);
    let new = lab.contact(json!({"email": "ann@example.com"})).await;
    assert_ne!(old, new);
    let refused = lab.post(&format!("/admin/users/anna/contacts/{old}/restore"), Value::Null).await.expect(422);
    assert!(refused["error"].as_str().unwrap().contains(&new));
}

#[tokio::test]
async fn a_merge_fills_gaps_and_both_old_ids_lead_to_the_result() {
    for fresh_id in [true, false] {
        let lab = Lab::start().await;
        lab.fault("merge_new_id", if fresh_id { 1.0 } else { 0.0 }).await;
        let ann = lab.contact(json!({"email": "ann@example.com", "firstname": "Ann"})).await;
        let bob = lab.contact(json!({"email": "bob@example.com", "firstname": "Bob", "city": "Bonn"})).await;
        let body = json!({"primaryObjectId": ann, "objectIdToMerge": bob});
        let merged = lab.post(&format!("{CONTACTS}/merge"), body.clone()).await.expect(200);
        assert_eq!(merged["id"] != ann.as_str(), fresh_id);
        assert_ne!(merged["id"], bob.as_str());
        for old in [&ann, &bob] {
            let query = "properties=firstname,city,email,hs_additional_emails,hs_merged_object_ids";
            let found = lab.get(&format!("{CONTACTS}/{old}?{query}")).await.expect(200);
            assert_eq!(found["id"], merged["id"]);
            let shown = &found["properties"];
            assert_eq!(shown["firstname"], "Ann");
            assert_eq!(shown["city"], "Bonn");
            assert_eq!(shown["email"], "ann@example.com");
            assert_eq!(shown["hs_additional_emails"], "bob@example.com");
            assert!(shown["hs_merged_object_ids"].as_str().unwrap().contains(&bob));
        }
        let conflict = lab.post(CONTACTS, json!({"properties": {"email": "bob@example.com"}})).await.expect(409);
        assert!(conflict["message"].as_str().unwrap().ends_with(merged["id"].as_str().unwrap()));
        lab.post(&format!("{CONTACTS}/merge"), body).await.expect(400);
        assert_eq!(ids(&lab.get(CONTACTS).await.body).len(), 1);
        assert!(ids(&lab.get(&format!("{CONTACTS}?archived=true")).await.body).is_empty());
    }
}

#[tokio::test]
async fn an_erased_contact_leaves_nothing_and_its_address_is_barred() {
    let lab = Lab::start().await;
    let id = lab.contact(json!({"email": "ann@example.com"})).await;
    let erase = format!("{CONTACTS}/gdpr-delete");
    lab.post(&erase, json!({"objectId": "ann@example.com", "idProperty": "email"})).await.expect(204);
    lab.get(&format!("{CONTACTS}/{id}?archived=true")).await.expect(404);
    lab.post(&erase, json!({"objectId": id})).await.expect(404);
    lab.post(&erase, json!({"objectId": "never@example.com", "idProperty": "email"})).await.expect(204);
    for email in ["Ann@Example.com", "never@example.com"] {
        let refused = lab.post(CONTACTS, json!({"properties": {"email": email}})).await.expect(400);
        assert_eq!(refused["errors"][0]["code"], "GDPR_BLOCKLISTED_EMAIL");
    }
}

#[tokio::test]
async fn companies_have_their_own_stamp_and_may_share_a_domain() {
    let lab = Lab::start().await;
    let path = "/crm/v3/objects/companies";
    for _ in 0..2 {
        let properties = json!({"name": "Acme", "domain": "https://www.Acme.com/about", "is_public": true});
        let body = lab.post(path, json!({ "properties": properties })).await.expect(201);
        assert_eq!(body["properties"]["domain"], "acme.com");
        assert_eq!(body["properties"]["is_public"], "true");
        assert_eq!(body["properties"]["hs_lastmodifieddate"], body["updatedAt"]);
        assert!(body["properties"].get("lastmodifieddate").is_none());
    }
    let names: Vec<String> =
        lab.get(path).await.body["results"][0]["properties"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, ["createdate", "domain", "hs_lastmodifieddate", "hs_object_id", "name"]);
}
