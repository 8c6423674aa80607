//! The live feed over real sockets.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::http::{HeaderValue, Method};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value as Json, json};
use syncline_server::live::Limits;
use syncline_tests::openapi::Contract;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{self, Message, client::IntoClientRequest},
};

use crate::harness::{ACME_KEY, Api, GLOBEX_KEY, ann};

/// Serves the API on a port of its own; it lives as long as the test's runtime.
async fn serve(api: &Api) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = api.router.clone();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("ws://{address}/v1/live")
}

/// A client of the live feed, which holds every message of the server against the document.
struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    contract: Arc<Contract>,
}

impl Client {
    async fn connect(api: &Api, url: &str) -> Self {
        Self::with(api, url, "authorization", &format!("Bearer {ACME_KEY}")).await.unwrap()
    }

    async fn with(api: &Api, url: &str, header: &'static str, value: &str) -> Result<Self, tungstenite::Error> {
        let mut request = url.into_client_request().unwrap();
        request.headers_mut().insert(header, HeaderValue::from_str(value).unwrap());
        let contract = api.contract.clone();
        connect_async(request).await.map(|(socket, _)| Self { socket, contract })
    }

    async fn say(&mut self, message: Json) {
        self.socket.send(Message::text(message.to_string())).await.unwrap();
    }

    /// The next message of the server, or the close code.
    async fn hear(&mut self) -> Result<Json, Option<u16>> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    let message = serde_json::from_str(&text).unwrap();
                    self.contract.check_message("LiveServerMessage", &message).unwrap();
                    return Ok(message);
                }
                Some(Ok(Message::Close(frame))) => return Err(frame.map(|frame| frame.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    async fn expect(&mut self, kind: &str) -> Json {
        let message = self.hear().await.unwrap();
        assert_eq!(message["type"], kind, "{message}");
        message
    }

    /// The cursors of the next changes.
    async fn cursors(&mut self, number: usize) -> Vec<u64> {
        let mut cursors = Vec::with_capacity(number);
        for _ in 0..number {
            cursors.push(self.expect("change").await["cursor"].as_u64().unwrap());
        }
        cursors
    }
}

#[tokio::test]
async fn a_subscriber_hears_changes_with_their_origin_and_resumes_where_it_was() {
    let api = Api::start().await;
    let url = serve(&api).await;
    let mut client = Client::connect(&api, &url).await;
    client.say(json!({"type": "subscribe"})).await;
    assert_eq!(client.expect("subscribed").await["cursor"], 0);
    let id = api.contact(ann()).await;
    let change = client.expect("change").await;
    assert_eq!((&change["cursor"], &change["record"], &change["action"]), (&json!(1), &json!(id), &json!("created")));
    assert_eq!(change["changed"][0]["origin"], json!({"kind": "client", "id": "backend"}));
    let polled = api.get("/v1/changes").await.items()[0].clone();
    let mut same = change.clone();
    same.as_object_mut().unwrap().remove("type");
    assert_eq!(same, polled, "a change looks the same in both feeds");
    drop(client);

    api.pen.create_many(&Api::acme(), "ticket", 3, "one of many").await;
    let mut again = Client::connect(&api, &url).await;
    again.say(json!({"type": "subscribe", "cursor": 1})).await;
    assert_eq!(again.expect("subscribed").await["cursor"], 1);
    assert_eq!(again.cursors(3).await, [2, 3, 4]);
}

#[tokio::test]
async fn nothing_falls_between_a_snapshot_and_the_changes_after_it() {
    let api = Api::start().await;
    let url = serve(&api).await;
    api.pen.create_many(&Api::acme(), "contact", 450, "one of many").await;
    let id = api.contact(ann()).await;
    let path = format!("/v1/records/contact/{id}");
    let write = async {
        for number in 0..50 {
            api.ask(Method::PATCH, &path).json(&json!({"employees": number})).send().await;
        }
    };
    let read = async {
        let mut client = Client::connect(&api, &url).await;
        client.say(json!({"type": "subscribe", "snapshot": true})).await;
        let begun = client.expect("subscribed").await["cursor"].as_u64().unwrap();
        let mut versions = BTreeMap::new();
        loop {
            let message = client.hear().await.unwrap();
            if message["type"] == "snapshot_end" {
                assert_eq!(message["cursor"], begun);
                break;
            }
            for row in message["rows"].as_array().unwrap() {
                let seen =
                    versions.insert(row["record"].as_str().unwrap().to_owned(), row["version"].as_u64().unwrap());
                assert_eq!(seen, None, "a record stands in a snapshot once");
            }
        }
        let last = 451 + 50;
        let missed = usize::try_from(last - begun).unwrap();
        assert_eq!(client.cursors(missed).await, (begun + 1..=last).collect::<Vec<_>>());
        // The edited record may have moved behind the snapshot's end; then its changes bring it.
        assert!(versions.len() == 451 || (versions.len() == 450 && missed > 0), "{} rows", versions.len());
    };
    tokio::join!(write, read);
}

#[tokio::test]
async fn filters_bound_the_snapshot_and_the_changes_and_report_who_leaves() {
    let api = Api::start().await;
    let url = serve(&api).await;
    let lead = api.contact(ann()).await;
    api.contact(json!({"email": "bob@example.com", "stage": "customer"})).await;
    api.post("/v1/records/ticket", json!({"subject": "Help"})).await;
    let mut client = Client::connect(&api, &url).await;
    client.say(json!({"type": "subscribe", "models": ["contact"], "filter": {"stage": "lead", "tags": "vip"}, "snapshot": true})).await;
    client.expect("subscribed").await;
    let rows = client.expect("snapshot").await["rows"].clone();
    assert_eq!(rows.as_array().unwrap().len(), 1);
    assert_eq!(rows[0]["record"], lead);
    client.expect("snapshot_end").await;

    api.post("/v1/records/ticket", json!({"subject": "More"})).await;
    let path = format!("/v1/records/contact/{lead}");
    for body in [json!({"stage": "mql"}), json!({"employees": 9}), json!({"stage": "lead"})] {
        api.ask(Method::PATCH, &path).json(&body).send().await;
    }
    let left = client.expect("change").await;
    assert_eq!((&left["fields"]["stage"], &left["changed"][0]["before"]), (&json!("mql"), &json!("lead")));
    let back = client.expect("change").await;
    assert_eq!((&back["fields"]["stage"], &back["fields"]["employees"]), (&json!("lead"), &json!(9)));
}

#[tokio::test]
async fn a_reader_behind_the_memory_reads_the_log_without_a_gap() {
    let api = Api::bounded(Limits { ring_changes_max: 10, ..Limits::default() }).await;
    let url = serve(&api).await;
    let mut client = Client::connect(&api, &url).await;
    client.say(json!({"type": "subscribe"})).await;
    client.expect("subscribed").await;
    api.pen.create_many(&Api::acme(), "contact", 700, "one of many").await;
    assert_eq!(client.cursors(700).await, (1..=700).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_subscriber_whom_the_feed_does_not_reach_is_told_to_start_over() {
    let api = Api::bounded(Limits { lag_changes_max: 30, ..Limits::default() }).await;
    let url = serve(&api).await;
    api.pen.create_many(&Api::acme(), "contact", 40, "one of many").await;
    api.store.tenant(&Api::acme().tenant).trim_feed(25).await.unwrap();
    let mut client = Client::connect(&api, &url).await;
    // 5 is further behind than the bound, 12 is no longer kept, 99 is of another feed.
    for (cursor, opening) in [(5, false), (12, true), (99, false)] {
        client.say(json!({"type": "subscribe", "cursor": cursor})).await;
        if opening {
            client.expect("subscribed").await;
        }
        assert_eq!(client.expect("resync").await["cursor"], 40, "{cursor}");
    }
    api.contact(ann()).await;
    assert_eq!(client.cursors(1).await, [41], "changes go on after the mark");
}

/// A subscriber that does not read gets no more than its buffers hold and is closed; the others hear everything in time.
///
/// Fails without `Limits::send_timeout` around each batch (the deaf client keeps its seat for ever), or with one queue for
/// all subscribers instead of a ring that each reads by its own cursor (the reader is held up).
#[tokio::test]
async fn row_25_slow_websocket_consumer() {
    // Only what it does not take ends it, and not its silence.
    let patient = Duration::from_secs(3_600);
    let limits = Limits {
        send_timeout: Duration::from_millis(100),
        idle_timeout: patient,
        ping_interval: patient,
        ..Limits::default()
    };
    let api = Api::bounded(limits).await;
    let url = serve(&api).await;
    let (mut deaf, mut reader) = (Client::connect(&api, &url).await, Client::connect(&api, &url).await);
    for client in [&mut deaf, &mut reader] {
        client.say(json!({"type": "subscribe", "models": ["contact"]})).await;
        client.expect("subscribed").await;
    }
    let text = "x".repeat(16 * 1024);
    // Far more than the buffers of two loopback sockets hold.
    for round in 0..6 {
        api.pen.create_many(&Api::acme(), "contact", 250, &text).await;
        let expected: Vec<_> = (round * 250 + 1..=(round + 1) * 250).collect();
        assert_eq!(reader.cursors(250).await, expected, "the reader is not held up");
    }
    let leaves = async {
        while api.hub.seats_taken(&Api::acme().tenant) == 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), leaves).await.expect("the deaf client loses its seat");
    let mut heard = 0;
    let end = loop {
        match deaf.hear().await {
            Ok(_) => heard += 1,
            Err(end) => break end,
        }
    };
    assert!(heard < 6 * 250, "the deaf client cannot have got everything");
    assert!(matches!(end, Some(4408) | None), "{end:?}");
}

#[tokio::test]
async fn messages_that_make_no_sense_are_answered_and_the_socket_stays_open() {
    let api = Api::start().await;
    let url = serve(&api).await;
    let mut client = Client::connect(&api, &url).await;
    for (message, code, says) in [
        (json!("hello"), "bad_message", "not understood"),
        (json!({"type": "subscrib"}), "bad_message", "unknown variant `subscrib`"),
        (json!({"type": "subscribe", "model": "contact"}), "bad_message", "unknown field `model`"),
        (json!({"type": "subscribe", "models": ["contract"]}), "unknown_model", "the models are: contact, ticket"),
        (json!({"type": "subscribe", "filter": {"sage": "lead"}}), "unknown_field", "check its spelling"),
        (json!({"type": "subscribe", "filter": {"stage": "x"}}), "bad_message", "never has"),
    ] {
        client.say(message.clone()).await;
        let error = client.expect("error").await;
        assert_eq!(error["code"], code, "{message}");
        assert!(error["message"].as_str().unwrap().contains(says), "{error}");
    }
    client.socket.send(Message::binary(vec![1])).await.unwrap();
    assert_eq!(client.expect("error").await["code"], "bad_message");
    let subscribe = json!({
        "type": "subscribe", "models": ["contact"], "filter": {"stage": "lead"}, "cursor": 0, "snapshot": false,
    });
    for message in [subscribe, json!({"type": "ack", "cursor": 0}), json!({"type": "ping"})] {
        api.contract.check_message("LiveClientMessage", &message).unwrap();
        client.say(message).await;
    }
    client.expect("subscribed").await;
    client.expect("pong").await;
    client.say(json!({"type": "x".repeat(65 * 1024)})).await;
    assert!(matches!(client.hear().await, Err(Some(1009) | None)));
}

#[tokio::test]
async fn keys_are_taken_from_the_header_or_the_subprotocol_only() {
    let api = Api::start().await;
    let url = serve(&api).await;
    for (header, value, welcome) in [
        ("authorization", format!("Bearer {ACME_KEY}"), true),
        ("sec-websocket-protocol", format!("syncline, bearer.{ACME_KEY}"), true),
        ("sec-websocket-protocol", "syncline, bearer.wrong".to_owned(), false),
        ("x-key", ACME_KEY.to_owned(), false),
    ] {
        match Client::with(&api, &url, header, &value).await {
            Ok(_) => assert!(welcome, "{value}"),
            Err(tungstenite::Error::Http(refused)) => {
                assert!(!welcome, "{value}");
                assert_eq!(refused.status(), 401);
            }
            Err(error) => panic!("{value}: {error}"),
        }
    }
    let keyed = Client::with(&api, &format!("{url}?key={ACME_KEY}"), "x-key", "none").await;
    assert!(keyed.is_err(), "keys in addresses end up in logs");
    api.get("/v1/live").await.refused(400, "WebSocket client");
}

#[tokio::test]
async fn a_tenant_hears_only_its_own_changes() {
    let api = Api::start().await;
    let url = serve(&api).await;
    let mut globex = Client::with(&api, &url, "authorization", &format!("Bearer {GLOBEX_KEY}")).await.unwrap();
    globex.say(json!({"type": "subscribe", "snapshot": true})).await;
    globex.expect("subscribed").await;
    globex.expect("snapshot_end").await;
    api.contact(ann()).await;
    let ask = api.ask(Method::POST, "/v1/records/ticket").header("authorization", &format!("Bearer {GLOBEX_KEY}"));
    ask.json(&json!({"subject": "Ours"})).send().await;
    assert_eq!(globex.expect("change").await["fields"]["subject"], "Ours");
}

#[tokio::test]
async fn sockets_are_bounded_and_closed_when_the_service_ends() {
    let api = Api::bounded(Limits { seats_per_tenant_max: 1, ..Limits::default() }).await;
    let url = serve(&api).await;
    let mut client = Client::connect(&api, &url).await;
    match Client::with(&api, &url, "authorization", &format!("Bearer {ACME_KEY}")).await {
        Err(tungstenite::Error::Http(refused)) => assert_eq!(refused.status(), 429),
        _ => panic!("a second socket was let in"),
    }
    api.hub.close();
    assert_eq!(client.hear().await, Err(Some(1001)));
}
