//! The live feed over a real socket, through a power cut.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::header::HeaderValue;
use serde_json::{Value as Json, json};
use syncline_tests::openapi::Contract;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};

use crate::{
    api::{KEY, copy_of},
    patience::PATIENCE,
    stage::{Server, Stage},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_sees_a_snapshot_and_then_every_change_across_a_restart() {
    let stage = Stage::set(20, 12).await;
    let server = stage.serve().await;
    let agreement = server.agree().await;
    let mut listener = Listener::connect(&server).await;
    listener.say(json!({"type": "subscribe", "models": ["contact"], "snapshot": true})).await;
    let begun = listener.hear_one("subscribed").await["cursor"].as_u64().expect("a cursor");
    let shown = listener.snapshot().await;
    let known: BTreeMap<_, _> = agreement
        .records
        .iter()
        .map(|(id, record)| (id.clone(), record["_meta"]["version"].as_u64().expect("a version")))
        .collect();
    assert_eq!(shown, known, "the snapshot holds every record once");

    let (id, record) = agreement.records.iter().next().expect("a record");
    let hubspot = stage.hubspot();
    let copy = copy_of(record, hubspot.words.connection).expect("a copy");
    hubspot.edit(&copy, &[("title", "Seen live")]).await;
    let change = listener.change_of(id, "title").await;
    assert_eq!(change["fields"]["title"], "Seen live");
    assert_eq!(change["changed"][0]["origin"], json!({"kind": "connection", "id": hubspot.words.connection}));
    let last = listener.last;
    assert!(last > begun);

    server.kill();
    hubspot.edit(&copy, &[("title", "While away")]).await;
    let server = stage.serve().await;
    server.api.patch(id, &json!({"first_name": "Ada"})).await;
    let mut listener = Listener::connect(&server).await;
    listener.last = last;
    listener.say(json!({"type": "subscribe", "models": ["contact"], "cursor": last})).await;
    listener.hear_one("subscribed").await;
    let (mut by_client, mut by_account) = (None, None);
    while by_client.is_none() || by_account.is_none() {
        let change = listener.next_change().await;
        match change["changed"][0]["field"].as_str() {
            Some("first_name") => by_client = Some(change["changed"][0]["origin"].clone()),
            Some("title") => by_account = Some(change["fields"]["title"].clone()),
            other => panic!("nobody changed {other:?}"),
        }
    }
    assert_eq!(by_client, Some(json!({"kind": "client", "id": "backend"})));
    assert_eq!(by_account, Some(json!("While away")));

    let (polled, end) = server.api.changes(last).await;
    assert_eq!(polled.len(), 2, "{polled:?}");
    assert_eq!(end, listener.last, "both feeds tell the same");
    server.agree().await;
    server.end();
}

/// A subscriber, which holds every message against the document and lets no cursor be skipped.
struct Listener {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    contract: Arc<Contract>,
    /// The last cursor heard.
    last: u64,
}

impl Listener {
    async fn connect(server: &Server<'_>) -> Self {
        let mut request = server.live.as_str().into_client_request().expect("an address");
        let key = HeaderValue::from_str(&format!("Bearer {KEY}")).expect("a header");
        request.headers_mut().insert("authorization", key);
        let (socket, _) = connect_async(request).await.expect("the feed answers");
        Self { socket, contract: server.api.contract.clone(), last: 0 }
    }

    async fn say(&mut self, message: Json) {
        self.contract.check_message("LiveClientMessage", &message).expect("a message of the document");
        self.socket.send(Message::text(message.to_string())).await.expect("an open socket");
    }

    async fn hear(&mut self) -> Json {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("a message in time");
            if let Message::Text(text) = message.expect("an open socket").expect("a message") {
                let message = serde_json::from_str(&text).expect("JSON");
                self.contract.check_message("LiveServerMessage", &message).expect("a message of the document");
                return message;
            }
        }
    }

    async fn hear_one(&mut self, kind: &str) -> Json {
        let message = self.hear().await;
        assert_eq!(message["type"], kind, "{message}");
        if let Some(cursor) = message["cursor"].as_u64() {
            self.last = cursor;
        }
        message
    }

    /// The versions of a snapshot's records, by id.
    async fn snapshot(&mut self) -> BTreeMap<String, u64> {
        let mut shown = BTreeMap::new();
        loop {
            let message = self.hear().await;
            if message["type"] == "snapshot_end" {
                return shown;
            }
            for row in message["rows"].as_array().expect("rows") {
                let (id, version) =
                    (row["record"].as_str().expect("an id"), row["version"].as_u64().expect("a number"));
                assert_eq!(shown.insert(id.to_owned(), version), None, "{id} stands in the snapshot twice");
            }
        }
    }

    async fn next_change(&mut self) -> Json {
        let before = self.last;
        let change = self.hear_one("change").await;
        assert_eq!(self.last, before + 1, "no change is left out: there is one model only");
        change
    }

    /// The next change of a field of a record.
    async fn change_of(&mut self, record: &str, field: &str) -> Json {
        loop {
            let change = self.next_change().await;
            if change["record"] == record && change["changed"][0]["field"] == field {
                return change;
            }
        }
    }
}
