//! A change until it has reached every subscriber: an edit over the API, its durable commit, and the frame at each socket.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures_util::{SinkExt as _, StreamExt as _};
use http::header::AUTHORIZATION;
use serde_json::json;
use syncline_client::{Api, JsonFields};
use syncline_core::ids::RecordId;
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{Message, client::IntoClientRequest as _},
};

use crate::{
    Result, process, report,
    stage::{KEY, Sides, Stage},
};

/// Sockets, changes, and the time between two changes.
const RUNS: [(usize, usize, Duration); 3] = [
    (1, 300, Duration::from_millis(25)),
    (100, 300, Duration::from_millis(50)),
    (1_000, 100, Duration::from_millis(250)),
];
/// The first changes of a run warm it up.
const WARM_UP: usize = 10;
/// Records that are edited in turn.
const RECORDS: usize = 20;
/// A change that has not arrived everywhere after so long never will.
const PATIENCE: Duration = Duration::from_secs(30);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Times for a few numbers of subscribers.
pub(crate) async fn measure() -> Result<()> {
    let stage = Stage::set(0, Sides::Both)?;
    let api = stage.api()?;
    let mut records = Vec::new();
    for number in 0..RECORDS {
        records.push(api.create_record("contact", &contact(number), None).await?.meta.id);
    }
    for (sockets, changes, pause) in RUNS {
        run(&stage, &api, &records, Run { sockets, changes, pause }).await?;
    }
    Ok(())
}

struct Run {
    sockets: usize,
    changes: usize,
    pause: Duration,
}

async fn run(stage: &Stage, api: &Api, records: &[RecordId], run: Run) -> Result<()> {
    let Run { sockets, changes, pause } = run;
    let changes = changes + WARM_UP;
    let sent: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let mut listeners = JoinSet::new();
    for _ in 0..sockets {
        let socket = subscribe(stage.live()?).await?;
        listeners.spawn(listen(socket, changes, sent.clone()));
    }
    let mut rhythm = interval(pause);
    rhythm.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut processor = process::processor(stage.process());
    for change in 0..changes {
        rhythm.tick().await;
        if change == WARM_UP {
            processor = process::processor(stage.process());
        }
        let fields = JsonFields::from_iter([("title".to_owned(), json!(format!("Director {sockets}/{change}")))]);
        sent.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
        api.update_record("contact", records[change % records.len()], &fields, None).await?;
    }
    let mut times = Vec::new();
    while let Some(heard) = timeout(PATIENCE, listeners.join_next()).await? {
        times.extend(heard??.into_iter().skip(WARM_UP).map(|time| time.as_secs_f64() * 1e3));
    }
    let spent = process::processor(stage.process()).zip(processor).map(|(after, before)| after.saturating_sub(before));

    let deliveries = times.len() as f64;
    let bound = (sockets == 100).then_some(10.0);
    report::measure(&format!("live/{sockets}/p50"), report::quantile(&mut times, 0.5), "ms", None);
    report::measure(&format!("live/{sockets}/p99"), report::quantile(&mut times, 0.99), "ms", bound);
    if let Some(spent) = spent {
        let each = report::micros(spent) / deliveries;
        report::measure(&format!("live/{sockets}/processor"), each, "µs of the server's processor per delivery", None);
    }
    Ok(())
}

/// A contact with all its fields, as the API takes it.
pub(crate) fn contact(number: usize) -> JsonFields {
    let mut fields = JsonFields::new();
    for name in ["first_name", "last_name", "title", "department", "street", "city", "state", "country"] {
        fields.insert(name.to_owned(), json!(format!("A {name} of usual length")));
    }
    for (name, value) in [
        ("email", json!(format!("bench.{number}@example.com"))),
        ("phone", json!(format!("+4942155{number:05}"))),
        ("mobile", json!(format!("+4915155{number:05}"))),
        ("postal_code", json!("28195")),
        ("website", json!("https://bench.example.com/team")),
        ("birthdate", json!("1980-02-28")),
        ("source", json!("web")),
        ("tier", json!("gold")),
        ("interests", json!(["billing", "mobile"])),
        ("score", json!("12.5")),
        ("do_not_call", json!(false)),
        ("notes", json!("Met at the fair. ".repeat(8).trim_end())),
    ] {
        fields.insert(name.to_owned(), value);
    }
    fields
}

async fn subscribe(address: &str) -> Result<Socket> {
    let mut request = address.into_client_request()?;
    request.headers_mut().insert(AUTHORIZATION, format!("Bearer {KEY}").parse()?);
    let (mut socket, _) = connect_async_with_config(request, None, true).await?;
    socket.send(Message::text(json!({"type": "subscribe"}).to_string())).await?;
    match socket.next().await {
        Some(Ok(Message::Text(text))) if text.contains("\"subscribed\"") => Ok(socket),
        other => Err(format!("no subscription: {other:?}").into()),
    }
}

/// Waits for all changes of a run; returns how long after its edit was sent each arrived. The feed has no gaps, so the
/// nth change on the socket is the nth edit.
async fn listen(mut socket: Socket, changes: usize, sent: Arc<Mutex<Vec<Instant>>>) -> Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(changes);
    while times.len() < changes {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => {
                let arrived = Instant::now();
                if !text.starts_with("{\"type\":\"change\"") {
                    return Err(format!("not a change: {text}").into());
                }
                let sent = sent.lock().unwrap_or_else(PoisonError::into_inner)[times.len()];
                times.push(arrived - sent);
            }
            Some(Ok(_)) => {}
            end => return Err(format!("the socket ended: {end:?}").into()),
        }
    }
    Ok(times)
}
