//! Rows 24 and 25: subscribers of the live feed who all come at once, and such as do not read.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use futures_util::{SinkExt as _, future::try_join_all};
use serde_json::json;
use syncline_client::{Api, Cursor, Event, Subscribe};
use syncline_tests::api::{KEY, id_of};
use tokio::{net::TcpSocket, task::JoinSet};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{self, Message, client::IntoClientRequest as _, http::HeaderValue},
};

use crate::{
    patience::{PATIENCE, eventually, until_reached},
    stage::{Server, Stage},
};

/// Subscribers in all, unless the variable `SYNCLINE_SUBSCRIBERS` says how many: more than one tenant has seats for.
const SUBSCRIBERS: usize = 5_000;
/// How many sockets one tenant may hold open.
const SEATS_PER_TENANT: usize = 4_000;
/// Files that both processes need besides.
const OTHER_FILES: usize = 1_000;
/// Handshakes that are begun at once in the calm before the storm.
const AT_ONCE: usize = 50;
/// What a subscriber may cost the server at most, with its share of what allocators keep: its tasks, its read buffer of 4 KiB,
/// the connection's own buffers, and what waits to be sent.
const BYTES_PER_SUBSCRIBER: u64 = 96 * 1024;
/// Whose subscribers there are; the last has none at first.
const TENANTS: [&str; 4] = ["acme", "globex", "initech", "hooli"];

/// The server ends while as many subscribers as it has room for listen. They come back by themselves, spread out, each goes on
/// where it stopped, and hears each change once and in order. A tenant whose seats are taken is told so, and when to come back;
/// the others have theirs; and the server's memory grows by no more than its subscribers' share.
///
/// Fails without: `Live::reconnect` keeping the cursor (changes are missed), `Seats` (one more is let in), the bounded buffers
/// of `live::configure` (memory). That clients spread out is held by `client-sdk`'s test of the same row.
#[tokio::test(flavor = "multi_thread")]
async fn row_24_reconnect_storm() {
    let stage = Stage::set(0, 0).await;
    for tenant in &TENANTS[1..] {
        let key = format!("  - {{name: {tenant}, tenant: {tenant}, key: {{env: {tenant}_key}}}}\n  - {{name: backend,");
        stage.amend("  - {name: backend,", &key);
        stage.set_variable(&format!("{tenant}_key"), &key_of(tenant));
    }
    let server = stage.serve().await;
    let record = id_of(&server.api.post("/v1/records/contact", &json!({"last_name": "Storm"})).await);
    let base = server.memory_bytes();
    let wanted = std::env::var("SYNCLINE_SUBSCRIBERS").ok().and_then(|number| number.parse().ok());
    let subscribers = wanted.unwrap_or(SUBSCRIBERS).min(files_max().saturating_sub(OTHER_FILES));
    let crowd = Crowd::gather(&stage, subscribers).await;
    assert_eq!(crowd.heard_of_all("acme"), 0);
    refused_at_the_door(&server, subscribers).await;

    server.kill();
    let server = stage.serve().await;
    // The storm has begun: nobody is back yet, and nobody may miss this.
    for round in 0..3 {
        server.api.patch(&record, &json!({ "title": format!("Round {round}") })).await;
    }
    let listeners = crowd.listeners_of("acme") as u64;
    for goal in (0..=subscribers as u64).step_by(500).chain([subscribers as u64]) {
        until_reached("everybody is back", goal, || crowd.returned()).await;
    }
    until_reached("everybody has heard everything", 3 * listeners, || crowd.heard_of_all("acme")).await;
    assert_eq!(crowd.out_of_order(), 0);
    assert_eq!(crowd.heard_of_all("globex"), 0, "what one tenant does is nobody else's affair");
    let grown = server.memory_bytes().saturating_sub(base);
    let allowed = subscribers as u64 * BYTES_PER_SUBSCRIBER;
    println!("{subscribers} subscribers cost {} KiB each", grown / 1024 / subscribers as u64);
    assert!(grown < allowed, "{grown} bytes for {subscribers} subscribers, more than {allowed}");
    refused_at_the_door(&server, subscribers).await;
    drop(crowd);
    eventually("everybody has left", async || {
        let open = server.open_files();
        (open < OTHER_FILES).then_some(()).ok_or_else(|| format!("{open} files are open"))
    })
    .await;
    server.end();
}

fn key_of(tenant: &str) -> String {
    if tenant == "acme" { KEY.to_owned() } else { format!("a-key-of-{tenant}-only") }
}

/// How many files this process, and so the server, may open.
fn files_max() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("this process's limits");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("a limit");
    line.split_whitespace().nth(3).and_then(|soft| soft.parse().ok()).unwrap_or(usize::MAX)
}

/// A tenant with all its seats taken gets no other, and is told when to come back; the next tenant is welcome.
async fn refused_at_the_door(server: &Server<'_>, subscribers: usize) {
    if subscribers < SEATS_PER_TENANT {
        return;
    }
    match knock(server, "acme").await {
        Err(tungstenite::Error::Http(answer)) => {
            assert_eq!(answer.status(), 429);
            assert!(answer.headers().contains_key("retry-after"));
        }
        other => panic!("one more than there are seats: {other:?}"),
    }
    knock(server, "hooli").await.expect("a seat");
}

async fn knock(server: &Server<'_>, tenant: &str) -> Result<(), tungstenite::Error> {
    let mut request = server.live.as_str().into_client_request().expect("an address");
    let key = HeaderValue::from_str(&format!("Bearer {}", key_of(tenant))).expect("a header");
    request.headers_mut().insert("authorization", key);
    tokio_tungstenite::connect_async(request).await.map(drop)
}

/// Many subscribers of several tenants.
struct Crowd {
    tenants: Vec<Tenant>,
    /// Ends with the crowd.
    _listeners: JoinSet<()>,
}

/// One tenant's subscribers, all together.
struct Tenant {
    name: String,
    listeners: usize,
    heard: Arc<Heard>,
}

#[derive(Default)]
struct Heard {
    changes: AtomicU64,
    returned: AtomicU64,
    out_of_order: AtomicU64,
}

impl Crowd {
    /// As many subscribers, each tenant with as many as it has seats.
    async fn gather(stage: &Stage, subscribers: usize) -> Self {
        let mut crowd = Self { tenants: Vec::new(), _listeners: JoinSet::new() };
        let mut left = subscribers;
        for name in TENANTS {
            let listeners = left.min(SEATS_PER_TENANT);
            left -= listeners;
            let heard = Arc::new(Heard::default());
            let api = Api::new(&stage.url(), &key_of(name)).expect("an address");
            for begun in (0..listeners).step_by(AT_ONCE) {
                let subscribe = || api.live(Subscribe { models: vec!["contact".into()], ..Subscribe::default() });
                let coming = (begun..listeners.min(begun + AT_ONCE)).map(|_| subscribe());
                for mut live in try_join_all(coming).await.expect("seats") {
                    let heard = heard.clone();
                    // Whoever is subscribed has a place from which to go on.
                    assert!(matches!(live.next().await, Ok(Event::Subscribed(_))));
                    crowd._listeners.spawn(async move {
                        let mut last = live.cursor();
                        while let Ok(event) = live.next().await {
                            heard.note(&event, &mut last);
                        }
                    });
                }
            }
            crowd.tenants.push(Tenant { name: name.to_owned(), listeners, heard });
        }
        crowd
    }

    fn tenant(&self, name: &str) -> &Tenant {
        self.tenants.iter().find(|tenant| tenant.name == name).expect("a tenant")
    }

    fn listeners_of(&self, name: &str) -> usize {
        self.tenant(name).listeners
    }

    fn heard_of_all(&self, name: &str) -> u64 {
        self.tenant(name).heard.changes.load(Ordering::Relaxed)
    }

    fn returned(&self) -> u64 {
        self.tenants.iter().map(|tenant| tenant.heard.returned.load(Ordering::Relaxed)).sum()
    }

    fn out_of_order(&self) -> u64 {
        self.tenants.iter().map(|tenant| tenant.heard.out_of_order.load(Ordering::Relaxed)).sum()
    }
}

impl Heard {
    fn note(&self, event: &Event, last: &mut Option<Cursor>) {
        match event {
            Event::Change(change) => {
                self.changes.fetch_add(1, Ordering::Relaxed);
                let follows = last.is_some_and(|last| change.cursor.0 == last.0 + 1);
                self.out_of_order.fetch_add(u64::from(!follows), Ordering::Relaxed);
                *last = Some(change.cursor);
            }
            Event::Subscribed(_) => {
                self.returned.fetch_add(1, Ordering::Relaxed);
            }
            Event::Lost(_) => {}
            other => panic!("{other:?} was not asked for"),
        }
    }
}

/// How many subscribers do not read.
const DEAF: usize = 200;
/// What the kernel keeps for a deaf subscriber to read: little, so that the server's side fills up.
const RECEIVE_BUFFER_BYTES: u32 = 4 * 1024;
/// How many changes there are, each of about 1 KiB: the ring holds them, the buffers of a socket do not.
const CHANGES: u64 = 2_000;
/// How much the server may grow meanwhile: far less than the deaf subscribers are owed, 400 MiB.
const GROWTH_MAX: u64 = 120 * 1024 * 1024;

/// On a real process: subscribers who do not read get what their buffers hold, and are closed after a while; another one hears
/// every change meanwhile; memory is bounded; and a deaf one that comes back goes on where it stopped.
///
/// Fails where nothing ends whoever takes nothing (`Limits::send_timeout`; `Limits::idle_timeout` does it later), and where each
/// subscriber has a queue of its own instead of a cursor into the ring (memory). That the former alone is enough is held by the test
/// of the same row in `http/live`.
#[tokio::test(flavor = "multi_thread")]
async fn row_25_slow_websocket_consumers_of_a_real_process() {
    let stage = Stage::set(0, 0).await;
    let server = stage.serve().await;
    let record = id_of(&server.api.post("/v1/records/contact", &json!({"last_name": "Loud"})).await);
    let (_, begun) = server.api.changes(0).await;
    let api = Api::new(&stage.url(), KEY).expect("an address");
    let subscribe = Subscribe { models: vec!["contact".into()], cursor: Some(Cursor(begun)), ..Subscribe::default() };
    let mut reader = api.live(subscribe.clone()).await.expect("a subscription");
    let before = (server.open_files(), server.memory_bytes());
    let mut deaf = Vec::new();
    for _ in 0..DEAF {
        deaf.push(turn_deaf(&stage, &server, &subscribe).await);
    }

    let hearing = tokio::spawn(async move {
        let mut heard = Vec::new();
        while heard.len() < CHANGES as usize {
            match tokio::time::timeout(PATIENCE, reader.next()).await {
                Ok(Ok(Event::Change(change))) => heard.push(change.cursor.0),
                Ok(Ok(Event::Subscribed(_))) => {}
                other => panic!("{other:?} after {} changes", heard.len()),
            }
        }
        heard
    });
    let long = "x".repeat(100);
    for round in 0..CHANGES {
        server.api.patch(&record, &json!({ "title": format!("{long} {round}") })).await;
    }
    let expected: Vec<u64> = (begun + 1..=begun + CHANGES).collect();
    assert_eq!(hearing.await.expect("the reader"), expected, "the reader is not held up");
    let grown = server.memory_bytes().saturating_sub(before.1);
    println!("{DEAF} deaf subscribers cost {} KiB each", grown / 1024 / DEAF as u64);
    assert!(grown < GROWTH_MAX, "{grown} bytes");
    eventually("the deaf are closed", async || {
        let open = server.open_files();
        (open < before.0 + DEAF / 10).then_some(()).ok_or_else(|| format!("{open} files are open"))
    })
    .await;

    drop(deaf);
    let mut back = api.live(subscribe).await.expect("a subscription");
    let mut heard = Vec::new();
    while heard.len() < expected.len() {
        match tokio::time::timeout(PATIENCE, back.next()).await {
            Ok(Ok(Event::Change(change))) => heard.push(change.cursor.0),
            Ok(Ok(Event::Subscribed(_))) => {}
            other => panic!("{other:?} after {} changes", heard.len()),
        }
    }
    assert_eq!(heard, expected, "whoever comes back misses nothing");
    server.end();
}

/// A subscriber that reads nothing after the handshake.
async fn turn_deaf(
    stage: &Stage,
    server: &Server<'_>,
    subscribe: &Subscribe,
) -> WebSocketStream<tokio::net::TcpStream> {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES).expect("a small buffer");
    let stream = socket.connect(([127, 0, 0, 1], stage.port).into()).await.expect("a connection");
    let mut request = server.live.as_str().into_client_request().expect("an address");
    let key = HeaderValue::from_str(&format!("Bearer {}", KEY)).expect("a header");
    request.headers_mut().insert("authorization", key);
    let (mut socket, _) = client_async(request, stream).await.expect("a handshake");
    let message = syncline_core::live::ClientMessage::Subscribe(subscribe.clone());
    let message = serde_json::to_string(&message).expect("a message");
    socket.send(Message::text(message)).await.expect("a subscription");
    socket
}
