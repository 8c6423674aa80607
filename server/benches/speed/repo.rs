//! A change on its way through `/v1/repo`: a client sends it, it is vetted, merged and committed, and told to everybody who has the
//! document open. Beside it a process that only hands frames on.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use automerge::{
    ActorId, Automerge, ROOT, ReadDoc as _,
    sync::{State, SyncDoc as _},
    transaction::{CommitOptions, Transactable as _},
};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use syncline_core::repo::DocumentId;
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_tungstenite::{connect_async_with_config, tungstenite::Message};

use crate::{
    Result,
    bare::Bare,
    live::contact,
    peer::Peer,
    process, report,
    stage::{KEY, Sides, Stage},
};

/// Subscribers of one document, changes, and the time between two changes.
const RUNS: [(usize, usize, Duration); 5] = [
    (1, 200, Duration::from_millis(50)),
    (10, 200, Duration::from_millis(50)),
    (100, 200, Duration::from_millis(200)),
    (1_000, 60, Duration::from_millis(500)),
    (IDLE, 20, Duration::from_secs(3)),
];
/// The first changes of a run warm it up.
const WARM_UP: usize = 10;
/// A change that has not arrived everywhere after so long never will.
const PATIENCE: Duration = Duration::from_secs(60);
/// Connections whose memory is looked at when all have the document open and nothing has been said yet.
const IDLE: usize = 10_000;
/// Half as many connections a second as the server admits: more are sent away to come back later.
const BETWEEN_CONNECTIONS: Duration = Duration::from_millis(2);
/// Documents of a client that comes back.
const DOCUMENTS: usize = 1_000;
/// How long a frame of the bare fan-out is: as long as a change's.
const FRAME_BYTES: usize = 320;

/// When each change was sent.
type Sent = Arc<Mutex<Vec<Instant>>>;

/// All of it.
pub(crate) async fn measure() -> Result<()> {
    let stage = Stage::set(0, Sides::Both)?;
    let address = token(&stage).await?;
    let api = stage.api()?;
    let mut documents = Vec::new();
    for number in 0..DOCUMENTS {
        let record = api.create_record("contact", &contact(number), None).await?.meta.id;
        documents.push(DocumentId::from(record));
    }
    let bare = Bare::start()?;
    for (sockets, changes, pause) in RUNS {
        let floor = run_bare(&bare, sockets, changes, pause).await?;
        let times = run(&stage, &address, documents[0], sockets, changes, pause).await?;
        tell(sockets, times, floor);
    }
    come_back(&stage, &address, &documents).await
}

/// An address with a token.
async fn token(stage: &Stage) -> Result<String> {
    let url = format!("{}/v1/repo/tokens", stage.address()?);
    let answer = reqwest::Client::new().post(url).bearer_auth(KEY).json(&json!({})).send().await?;
    let answer: serde_json::Value = serde_json::from_str(&answer.text().await?)?;
    answer["url"].as_str().map(str::to_owned).ok_or_else(|| format!("no token: {answer}").into())
}

/// Times in milliseconds, and the server's processor time in microseconds for each delivery.
struct Times {
    arrivals: Vec<f64>,
    processor: Option<f64>,
}

fn tell(sockets: usize, mut times: Times, mut floor: Times) {
    let name = |what: &str| format!("repo/{sockets}/{what}");
    let p99 = report::quantile(&mut times.arrivals, 0.99);
    let bare = report::quantile(&mut floor.arrivals, 0.99);
    report::measure(&name("p50"), report::quantile(&mut times.arrivals, 0.5), "ms", None);
    report::measure(&name("p99"), p99, "ms", (sockets == 100).then_some(10.0));
    report::measure(&name("bare p99"), bare, "ms", None);
    report::measure(&name("ratio"), p99 / bare, "× a bare fan-out's p99", (sockets == 1_000).then_some(2.5));
    if let (Some(ours), Some(bare)) = (times.processor, floor.processor) {
        report::measure(&name("processor"), ours, "µs of the server's processor per delivery", None);
        report::measure(&name("bare processor"), bare, "µs of the bare process per delivery", None);
    }
}

async fn run(
    stage: &Stage,
    address: &str,
    document: DocumentId,
    sockets: usize,
    changes: usize,
    pause: Duration,
) -> Result<Times> {
    let changes = changes + WARM_UP;
    let sent: Sent = Arc::default();
    let mut listeners = JoinSet::new();
    let before = process::resident(stage.process());
    let mut arriving = interval(BETWEEN_CONNECTIONS);
    arriving.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 0..sockets {
        arriving.tick().await;
        let mut peer = Peer::connect(address, &format!("subscriber-{sockets}-{number}")).await?;
        peer.open(document).await?;
        listeners.spawn(listen(peer, document, changes, sent.clone()));
    }
    if let Some((before, after)) = before.zip(process::resident(stage.process())).filter(|_| sockets == IDLE) {
        let each = (after - before) * 1e6 / 1_024.0 / IDLE as f64;
        report::measure(&format!("repo/{IDLE} idle/memory"), each, "KiB for each connection", Some(64.0));
    }
    let mut writer = Writer::open(address, document, sockets).await?;
    let mut rhythm = interval(pause);
    rhythm.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut processor = process::processor(stage.process());
    for change in 0..changes {
        rhythm.tick().await;
        if change == WARM_UP {
            processor = process::processor(stage.process());
        }
        sent.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
        writer.edit(&format!("Director {sockets}/{change}")).await?;
    }
    let arrivals = arrivals(listeners).await?;
    let processor = spent(stage.process(), processor, arrivals.len());
    Ok(Times { arrivals, processor })
}

async fn run_bare(bare: &Bare, sockets: usize, changes: usize, pause: Duration) -> Result<Times> {
    let changes = changes + WARM_UP;
    let sent: Sent = Arc::default();
    let mut listeners = JoinSet::new();
    for _ in 0..sockets {
        let (mut socket, _) = connect_async_with_config(&bare.address, None, true).await?;
        let sent = sent.clone();
        listeners.spawn(async move {
            let mut times = Vec::with_capacity(changes);
            while times.len() < changes {
                match socket.next().await {
                    Some(Ok(Message::Binary(_))) => {
                        times.push(since(&sent, times.len()));
                        socket.send(Message::binary(vec![0; 8])).await?;
                    }
                    Some(Ok(_)) => {}
                    end => return Err(format!("the socket ended: {end:?}").into()),
                }
            }
            Ok(times)
        });
    }
    let (mut writer, _) = connect_async_with_config(&bare.address, None, true).await?;
    let mut rhythm = interval(pause);
    rhythm.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut processor = process::processor(bare.process());
    for change in 0..changes {
        rhythm.tick().await;
        if change == WARM_UP {
            processor = process::processor(bare.process());
        }
        sent.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
        writer.send(Message::binary(vec![0; FRAME_BYTES])).await?;
        // Its own frame comes back to it as to the others.
        let _ = writer.next().await;
    }
    let arrivals = arrivals(listeners).await?;
    let processor = spent(bare.process(), processor, arrivals.len());
    Ok(Times { arrivals, processor })
}

/// Waits for all changes of a run; returns how long after it was sent each arrived. Nobody else writes, so the nth message
/// with changes holds the nth change.
async fn listen(mut peer: Peer, document: DocumentId, changes: usize, sent: Sent) -> Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(changes);
    while times.len() < changes {
        let message = peer.hear().await?;
        if !message.changes.is_empty() {
            times.push(since(&sent, times.len()));
            peer.acknowledge(document, &message).await?;
        }
    }
    Ok(times)
}

fn since(sent: &Sent, change: usize) -> Duration {
    let now = Instant::now();
    now - sent.lock().unwrap_or_else(PoisonError::into_inner)[change]
}

async fn arrivals(mut listeners: JoinSet<Result<Vec<Duration>>>) -> Result<Vec<f64>> {
    let mut times = Vec::new();
    while let Some(heard) = timeout(PATIENCE, listeners.join_next()).await? {
        times.extend(heard??.into_iter().skip(WARM_UP).map(|time| time.as_secs_f64() * 1e3));
    }
    Ok(times)
}

fn spent(process: u32, before: Option<Duration>, deliveries: usize) -> Option<f64> {
    let spent = process::processor(process)?.saturating_sub(before?);
    Some(report::micros(spent) / deliveries as f64)
}

/// A client that holds the document and edits it.
struct Writer {
    peer: Peer,
    document: DocumentId,
    held: Automerge,
    state: State,
}

impl Writer {
    async fn open(address: &str, document: DocumentId, sockets: usize) -> Result<Self> {
        let mut peer = Peer::connect(address, &format!("writer-{sockets}")).await?;
        let actor: [u8; 16] = rand::random();
        let mut held = Automerge::new().with_actor(ActorId::from(actor));
        let mut state = State::new();
        let question = held.generate_sync_message(&mut state).ok_or("nothing to ask")?;
        peer.say(document, &question, true).await?;
        held.receive_sync_message(&mut state, peer.hear().await?)?;
        if let Some(answer) = held.generate_sync_message(&mut state) {
            peer.say(document, &answer, false).await?;
        }
        Ok(Self { peer, document, held, state })
    }

    /// Makes a change, sends it, and waits until the server says that it has it.
    async fn edit(&mut self, title: &str) -> Result<()> {
        let fields = self.held.get(ROOT, "fields")?.ok_or("no fields")?.1;
        let mut tx = self.held.transaction();
        tx.put(&fields, "title", title)?;
        tx.commit_with(CommitOptions::default());
        let message = self.held.generate_sync_message(&mut self.state).ok_or("nothing to say")?;
        self.peer.say(self.document, &message, false).await?;
        let mine = self.held.get_heads();
        loop {
            let answer = self.peer.hear().await?;
            let done = answer.heads == mine;
            self.held.receive_sync_message(&mut self.state, answer)?;
            if done {
                return Ok(());
            }
        }
    }
}

/// A client with many documents comes back and has missed nothing.
async fn come_back(stage: &Stage, address: &str, documents: &[DocumentId]) -> Result<()> {
    let mut standing = Vec::with_capacity(documents.len());
    let mut peer = Peer::connect(address, "first-visit").await?;
    for document in documents {
        standing.push((*document, peer.open(*document).await?));
    }
    drop(peer);
    let mut peer = Peer::connect(address, "second-visit").await?;
    let processor = process::processor(stage.process());
    let begun = Instant::now();
    peer.greet(&standing).await?;
    for _ in documents {
        peer.hear().await?;
    }
    let took = begun.elapsed().as_secs_f64() * 1e3;
    report::measure(&format!("repo/return of {DOCUMENTS}/time"), took, "ms", None);
    if let Some((after, before)) = process::processor(stage.process()).zip(processor) {
        let spent = (after.saturating_sub(before)).as_secs_f64() * 1e3;
        report::measure(
            &format!("repo/return of {DOCUMENTS}/processor"),
            spent,
            "ms of the server's processor",
            Some(100.0),
        );
    }
    Ok(())
}
