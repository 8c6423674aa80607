//! A small server in the test's own process: records over HTTP, the live feed, documents over `/v1/repo`. It shares no
//! code with the client but the codec of the frames.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use automerge::{
    AutoSerde, Automerge, ObjType, ROOT, ReadDoc as _,
    sync::{self, SyncDoc as _},
    transaction::Transactable as _,
};
use axum::{
    Json, Router,
    extract::{
        Path, Query, State,
        ws::{CloseFrame, Message as Frame, WebSocket, WebSocketUpgrade},
    },
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value as JsonValue, json};
use syncline_core::{
    live::{Change, ClientMessage, Cursor, ServerMessage, Subscribe},
    repo::{
        DocumentId, Message, PeerId, PeerMetadata, SessionId,
        message::{Ephemeral, Sync},
    },
};
use tokio::sync::{mpsc, watch};

/// What the server does to its clients.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mood {
    /// Nobody is let in, and whoever is in is sent away.
    pub(crate) is_down: bool,
    /// Changes are refused with this reason.
    pub(crate) refuses: Option<String>,
    /// Only this token lets a client in.
    pub(crate) token: Option<String>,
}

struct Line {
    peer: PeerId,
    out: mpsc::UnboundedSender<Message>,
    states: BTreeMap<DocumentId, sync::State>,
}

#[derive(Default)]
struct World {
    documents: BTreeMap<DocumentId, Automerge>,
    versions: BTreeMap<DocumentId, u64>,
    feed: Vec<Change>,
    lines: HashMap<usize, Line>,
    lines_opened: usize,
    said: u64,
}

#[derive(Clone)]
pub(crate) struct Server {
    world: Arc<parking_lot::Mutex<World>>,
    mood: watch::Sender<Mood>,
    length: watch::Sender<usize>,
    pub(crate) url: String,
}

fn me() -> PeerId {
    PeerId::new("server").unwrap()
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Self {
            world: Arc::default(),
            mood: watch::Sender::new(Mood::default()),
            length: watch::Sender::new(0),
            url,
        };
        let routes = Router::new()
            .route("/v1/records/{model}", get(records))
            .route("/v1/live", get(live))
            .route("/v1/repo", get(repo))
            .with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        server
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut Mood)) {
        self.mood.send_modify(change);
    }

    /// A record as somebody else makes it.
    pub(crate) fn add(&self, fields: &[(&str, &str)]) -> DocumentId {
        let id = DocumentId::from_bytes(rand::random());
        let mut doc = Automerge::new();
        let mut tx = doc.transaction();
        tx.put(ROOT, "type", "contact").unwrap();
        let map = tx.put_object(ROOT, "fields", ObjType::Map).unwrap();
        for (name, value) in fields {
            tx.put(&map, *name, *value).unwrap();
        }
        tx.commit();
        let mut world = self.world.lock();
        world.documents.insert(id, doc);
        self.tell(&mut world, id);
        id
    }

    /// An edit as somebody else makes it.
    pub(crate) fn edit(&self, id: DocumentId, name: &str, value: &str) {
        let mut world = self.world.lock();
        let doc = world.documents.get_mut(&id).unwrap();
        doc.set_actor(automerge::ActorId::random());
        let mut tx = doc.transaction();
        let (_, map) = tx.get(ROOT, "fields").unwrap().unwrap();
        tx.put(&map, name, value).unwrap();
        tx.commit();
        world.answer(id);
        self.tell(&mut world, id);
    }

    pub(crate) fn fields(&self, id: DocumentId) -> Option<JsonValue> {
        self.world.lock().documents.get(&id).map(fields)
    }

    fn tell(&self, world: &mut World, id: DocumentId) {
        let doc = &world.documents[&id];
        let fields = fields(doc);
        let is_deleted = doc.get(ROOT, "deleted").unwrap().is_some();
        let version = world.versions.entry(id).or_default();
        *version += 1;
        let action = if is_deleted { "deleted" } else { "updated" };
        let change = json!({"cursor": world.feed.len() + 1, "record": id.record(), "model": "contact",
            "action": action, "version": *version, "fields": fields, "at": "2026-01-01T00:00:00Z",
            "changed": []});
        world.feed.push(serde_json::from_value(change).unwrap());
        self.length.send_replace(world.feed.len());
    }

    fn hear(&self, line: usize, message: Message) {
        let mut world = self.world.lock();
        match message {
            Message::Join { sender, .. } => {
                world.say(
                    line,
                    Message::Peer {
                        sender: me(),
                        target: sender,
                        metadata: PeerMetadata::default(),
                        version: "1".into(),
                    },
                );
            }
            Message::Request(sync) | Message::Sync(sync) => self.receive(&mut world, line, &sync),
            Message::Ephemeral(message) => world.pass_on(line, &message),
            other => panic!("a client does not send {other:?}"),
        }
    }

    fn receive(&self, world: &mut World, line: usize, incoming: &Sync) {
        let id = incoming.document;
        let message = sync::Message::decode(&incoming.data).unwrap();
        if !world.documents.contains_key(&id) && message.heads.is_empty() {
            let target = world.lines[&line].peer.clone();
            world.say(line, Message::DocUnavailable { sender: me(), target, document: id });
            return;
        }
        let refusal = self.mood.borrow().refuses.clone().filter(|_| !message.changes.is_empty());
        if let Some(reason) = refusal {
            world.refuse(line, id, &reason);
            return;
        }
        let doc = world.documents.entry(id).or_default();
        let before = doc.get_heads();
        let state = world.lines.get_mut(&line).unwrap().states.entry(id).or_default();
        doc.receive_sync_message(state, message).unwrap();
        let is_changed = doc.get_heads() != before;
        world.answer(id);
        if is_changed {
            self.tell(world, id);
        }
    }
}

impl World {
    fn answer(&mut self, id: DocumentId) {
        for line in self.lines.values_mut() {
            let Some(state) = line.states.get_mut(&id) else { continue };
            if let Some(message) = self.documents[&id].generate_sync_message(state) {
                let (target, data) = (line.peer.clone(), message.encode().into());
                let _ = line.out.send(Message::Sync(Sync { sender: me(), target, document: id, data }));
            }
        }
    }

    fn say(&self, line: usize, message: Message) {
        let _ = self.lines[&line].out.send(message);
    }

    fn pass_on(&self, from: usize, message: &Ephemeral) {
        for (number, line) in &self.lines {
            if *number != from && line.states.contains_key(&message.document) {
                let _ = line.out.send(Message::Ephemeral(Ephemeral { target: line.peer.clone(), ..message.clone() }));
            }
        }
    }

    fn refuse(&mut self, line: usize, document: DocumentId, reason: &str) {
        self.said += 1;
        let word = BTreeMap::from([("syncline", BTreeMap::from([("kind", "refused"), ("reason", reason)]))]);
        self.say(
            line,
            Message::Ephemeral(Ephemeral {
                sender: me(),
                target: self.lines[&line].peer.clone(),
                document,
                session: SessionId::new("server").unwrap(),
                count: self.said,
                data: minicbor_serde::to_vec(word).unwrap().into(),
            }),
        );
    }
}

/// The document's fields in the form of the API.
fn fields(doc: &Automerge) -> JsonValue {
    let mut all = serde_json::to_value(AutoSerde::from(doc)).unwrap();
    let mut fields = all["fields"].take();
    for value in fields.as_object_mut().into_iter().flat_map(|fields| fields.values_mut()) {
        if let Some(members) = value.as_object() {
            *value = members.keys().cloned().collect();
        }
    }
    fields
}

async fn records(State(server): State<Server>, Query(query): Query<HashMap<String, String>>) -> Response {
    if server.mood.borrow().is_down {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let world = server.world.lock();
    let items = world.versions.iter().map(|(id, version)| {
        let mut record = fields(&world.documents[id]);
        record["_meta"] = json!({"id": id.record(), "model": "contact", "version": version, "cursor": 0,
            "first_seen_at": "2026-01-01T00:00:00Z", "last_modified_at": "2026-01-01T00:00:00Z",
            "last_action": "updated", "deleted_at": null, "external_ids": {}, "automerge_url": id.url()});
        record
    });
    let wanted = |record: &JsonValue| {
        let filters = query.iter().filter_map(|(key, value)| {
            Some((key.strip_prefix("filter[")?.strip_suffix(']')?.to_owned(), value.clone()))
        });
        filters.into_iter().all(|(name, value)| record[&name] == json!(value))
    };
    let items: Vec<JsonValue> = items.filter(wanted).collect();
    Json(json!({"items": items, "next_cursor": null})).into_response()
}

async fn live(State(server): State<Server>, Path(()): Path<()>, upgrade: WebSocketUpgrade) -> Response {
    if server.mood.borrow().is_down {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    upgrade.on_upgrade(|socket| feed(server, socket))
}

async fn feed(server: Server, mut socket: WebSocket) {
    let Some(Ok(Frame::Text(text))) = socket.recv().await else { return };
    let Ok(ClientMessage::Subscribe(Subscribe { cursor, filter, .. })) = serde_json::from_str(&text) else { return };
    let (mut length, mut mood) = (server.length.subscribe(), server.mood.subscribe());
    let mut next = cursor.map_or(*length.borrow_and_update(), |cursor| usize::try_from(cursor.0).unwrap());
    let mut messages = vec![ServerMessage::Subscribed { cursor: Cursor(next as u64) }];
    loop {
        for message in messages.drain(..) {
            if socket.send(Frame::Text(serde_json::to_string(&message).unwrap().into())).await.is_err() {
                return;
            }
        }
        if mood.borrow_and_update().is_down {
            return;
        }
        let new = server.world.lock().feed[next..].to_vec();
        next += new.len();
        messages = new.into_iter().filter(|change| filter.concerns(&change.event)).map(ServerMessage::Change).collect();
        if messages.is_empty() {
            tokio::select! {
                _ = length.changed() => {}
                _ = mood.changed() => {}
                frame = socket.recv() => if frame.is_none_or(|frame| frame.is_err()) { return },
            }
        }
    }
}

async fn repo(
    State(server): State<Server>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let token = query.get("token").cloned();
    let has_key = headers.get("authorization").is_some_and(|key| key == "Bearer key");
    let wanted = server.mood.borrow().token.clone();
    let is_let_in = wanted.map_or(has_key || token.is_some(), |wanted| token == Some(wanted));
    upgrade.on_upgrade(move |socket| serve(server, socket, is_let_in))
}

async fn serve(server: Server, mut socket: WebSocket, is_let_in: bool) {
    let mut mood = server.mood.subscribe();
    let code = if is_let_in { 1001 } else { 4401 };
    let close = || Frame::Close(Some(CloseFrame { code, reason: "who is it?".into() }));
    if !is_let_in || mood.borrow_and_update().is_down {
        let _ = socket.send(close()).await;
        return;
    }
    let (out, mut outgoing) = mpsc::unbounded_channel();
    let mut number = None;
    loop {
        tokio::select! {
            Some(message) = outgoing.recv() => {
                if socket.send(Frame::Binary(Message::encode(&message).into())).await.is_err() { break }
            }
            _ = mood.changed() => if mood.borrow_and_update().is_down {
                let _ = socket.send(close()).await;
                break;
            },
            frame = socket.recv() => match frame {
                Some(Ok(Frame::Binary(bytes))) => {
                    let message = Message::decode(&bytes, 1 << 20).unwrap();
                    if let Message::Join { sender, .. } = &message {
                        let mut world = server.world.lock();
                        world.lines_opened += 1;
                        let opened = world.lines_opened;
                        number = Some(opened);
                        let line = Line { peer: sender.clone(), out: out.clone(), states: BTreeMap::new() };
                        world.lines.insert(opened, line);
                    }
                    server.hear(number.unwrap(), message);
                }
                Some(Ok(_)) => {}
                _ => break,
            },
        }
    }
    number.into_iter().for_each(|number| drop(server.world.lock().lines.remove(&number)));
}
