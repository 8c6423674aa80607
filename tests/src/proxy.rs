//! A TCP line that can be slow, silent or cut: a proxy on loopback whose weather the story sets.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Notify, watch},
    task::JoinHandle,
};

/// Bytes that are passed on at once, at most.
const CHUNK_BYTES: usize = 4_096;

/// What the line does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Weather {
    /// Everything passes at once.
    Clear,
    /// Every chunk waits, and no more than so many bytes pass in a second.
    Slow {
        /// The wait of each chunk.
        latency: Duration,
        /// Bytes in a second, in each direction.
        bytes_per_second: u32,
    },
    /// Whole requests pass; of their answers nothing comes, and the line stays open.
    SilentAnswers,
    /// Nothing passes in either direction, and the line stays open.
    BlackHole,
    /// The line is cut once so many bytes of the request have passed.
    CutRequest {
        /// The bytes that pass.
        after: usize,
    },
    /// The line is cut once so many bytes of the answer have passed.
    CutAnswer {
        /// The bytes that pass.
        after: usize,
    },
    /// The line is reset as soon as something is sent.
    Reset,
}

/// Which requests the weather strikes: those that contain a text, or all.
#[derive(Clone, Copy, Debug)]
struct Forecast {
    weather: Weather,
    strikes: &'static str,
}

/// The proxy.
#[derive(Debug)]
pub struct Proxy {
    url: String,
    forecast: watch::Sender<Forecast>,
    struck: Arc<AtomicU64>,
    hung_up: watch::Sender<()>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// A line to the server at this address, such as `http://127.0.0.1:4000`, in clear weather.
    pub async fn to(url: &str) -> Self {
        let upstream = url.strip_prefix("http://").expect("a plain address").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (forecast, seen) = watch::channel(Forecast { weather: Weather::Clear, strikes: "" });
        let (hung_up, ends) = watch::channel(());
        let struck = Arc::new(AtomicU64::new(0));
        let counter = struck.clone();
        let accepting = tokio::spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else { return };
                let line = Line::new(seen.clone(), counter.clone());
                let (upstream, mut end) = (upstream.clone(), ends.clone());
                end.mark_unchanged();
                tokio::spawn(async move {
                    tokio::select! {
                        // A line that fails is what this is for.
                        _ = line.run(client, &upstream) => {}
                        _ = end.changed() => {}
                    }
                });
            }
        });
        Self { url, forecast, struck, hung_up, accepting }
    }

    /// Where the line begins.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sets the weather for all requests.
    pub fn set(&self, weather: Weather) {
        self.strike(weather, "");
    }

    /// Sets the weather for requests that contain a text, such as a path; others have it clear.
    pub fn strike(&self, weather: Weather, strikes: &'static str) {
        self.forecast.send_replace(Forecast { weather, strikes });
    }

    /// Cuts every line that stands now.
    pub fn hang_up(&self) {
        self.hung_up.send_replace(());
    }

    /// How many requests the weather has struck.
    pub fn struck(&self) -> u64 {
        self.struck.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// One connection.
#[derive(Clone, Debug)]
struct Line {
    forecast: watch::Receiver<Forecast>,
    struck: Arc<AtomicU64>,
    /// The request that is under way is one of those that the weather strikes.
    is_struck: Arc<AtomicBool>,
    cut: Arc<Notify>,
}

impl Line {
    fn new(forecast: watch::Receiver<Forecast>, struck: Arc<AtomicU64>) -> Self {
        Self { forecast, struck, is_struck: Arc::default(), cut: Arc::default() }
    }

    async fn run(self, client: TcpStream, upstream: &str) -> io::Result<()> {
        let server = TcpStream::connect(upstream).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let resets = self.forecast.clone();
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let (up, down, cut) = (self.clone(), self.clone(), self.cut.clone());
        tokio::select! {
            _ = up.requests(from_client, to_server) => {}
            _ = down.answers(from_server, &to_client) => {}
            () = cut.notified() => {
                if resets.borrow().weather == Weather::Reset {
                    to_client.as_ref().set_zero_linger()?;
                }
            }
        }
        Ok(())
    }

    /// The weather over the request that is under way.
    fn weather(&self) -> Weather {
        if self.is_struck.load(Ordering::Relaxed) { self.forecast.borrow().weather } else { Weather::Clear }
    }

    /// Notes whether a request begins that the weather strikes.
    fn look_at(&self, chunk: &[u8]) {
        let Forecast { weather, strikes } = *self.forecast.borrow();
        let begins = chunk.starts_with(b"GET ")
            || [&b"POST "[..], b"PATCH ", b"PUT ", b"DELETE "].iter().any(|method| chunk.starts_with(method));
        if !begins {
            return;
        }
        let meant = strikes.is_empty() || chunk.windows(strikes.len()).any(|window| window == strikes.as_bytes());
        let is_struck = meant && weather != Weather::Clear;
        self.is_struck.store(is_struck, Ordering::Relaxed);
        self.struck.fetch_add(u64::from(is_struck), Ordering::Relaxed);
    }

    async fn requests(self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> io::Result<()> {
        let (mut chunk, mut passed) = (vec![0; CHUNK_BYTES], 0);
        loop {
            let read = from.read(&mut chunk).await?;
            if read == 0 {
                return to.shutdown().await;
            }
            let chunk = &chunk[..read];
            self.look_at(chunk);
            match self.weather() {
                Weather::BlackHole => continue,
                Weather::Reset => self.cut.notify_one(),
                Weather::CutRequest { after } => {
                    let rest = after.saturating_sub(passed).min(read);
                    to.write_all(&chunk[..rest]).await?;
                    passed += rest;
                    if passed >= after {
                        self.cut.notify_one();
                    }
                }
                weather => self.pass(weather, chunk, &mut to).await?,
            }
        }
    }

    async fn answers(self, mut from: OwnedReadHalf, to: &OwnedWriteHalf) -> io::Result<()> {
        let (mut chunk, mut passed) = (vec![0; CHUNK_BYTES], 0);
        loop {
            let read = from.read(&mut chunk).await?;
            if read == 0 {
                return Ok(());
            }
            let chunk = &chunk[..read];
            match self.weather() {
                Weather::BlackHole | Weather::SilentAnswers => {}
                Weather::CutAnswer { after } => {
                    let rest = after.saturating_sub(passed).min(read);
                    send(to, &chunk[..rest]).await?;
                    passed += rest;
                    if passed >= after {
                        self.cut.notify_one();
                    }
                }
                Weather::Slow { latency, bytes_per_second } => {
                    tokio::time::sleep(latency + time_of(read, bytes_per_second)).await;
                    send(to, chunk).await?;
                }
                Weather::Clear | Weather::CutRequest { .. } | Weather::Reset => send(to, chunk).await?,
            }
        }
    }

    async fn pass(&self, weather: Weather, chunk: &[u8], to: &mut OwnedWriteHalf) -> io::Result<()> {
        if let Weather::Slow { latency, bytes_per_second } = weather {
            tokio::time::sleep(latency + time_of(chunk.len(), bytes_per_second)).await;
        }
        to.write_all(chunk).await
    }
}

/// How long so many bytes take.
fn time_of(bytes: usize, bytes_per_second: u32) -> Duration {
    Duration::from_secs_f64(bytes as f64 / f64::from(bytes_per_second.max(1)))
}

/// Writes all of it to a half that is still needed afterwards.
async fn send(to: &OwnedWriteHalf, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        to.writable().await?;
        match to.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers every request with eight bytes after the head, and counts them.
    async fn server() -> (String, Arc<AtomicU64>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let whole = Arc::new(AtomicU64::new(0));
        let counter = whole.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let counter = counter.clone();
                tokio::spawn(async move {
                    let mut seen = Vec::new();
                    let mut chunk = [0; 1_024];
                    while let Ok(read @ 1..) = stream.read(&mut chunk).await {
                        seen.extend_from_slice(&chunk[..read]);
                        while let Some(end) = seen.windows(4).position(|window| window == b"\r\n\r\n") {
                            seen.drain(..end + 4);
                            counter.fetch_add(1, Ordering::Relaxed);
                            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nanswered";
                            if stream.write_all(answer).await.is_err() {
                                return;
                            }
                        }
                    }
                });
            }
        });
        (url, whole)
    }

    #[tokio::test]
    async fn the_weather_does_what_it_says() {
        let (url, whole) = server().await;
        let slow = Weather::Slow { latency: Duration::from_millis(1), bytes_per_second: 1_000_000 };
        for (weather, strikes, answered, reaches) in [
            (Weather::Clear, "", true, 1),
            (slow, "", true, 1),
            (Weather::CutRequest { after: 10 }, "", false, 0),
            (Weather::CutAnswer { after: 30 }, "", false, 1),
            (Weather::SilentAnswers, "", false, 1),
            (Weather::BlackHole, "", false, 0),
            (Weather::Reset, "", false, 0),
            (Weather::Reset, "/elsewhere", true, 1),
        ] {
            let proxy = Proxy::to(&url).await;
            proxy.strike(weather, strikes);
            let before = whole.load(Ordering::Relaxed);
            let client = reqwest::Client::builder().timeout(Duration::from_millis(300)).build().unwrap();
            let call = async { client.get(format!("{}/here", proxy.url())).send().await?.text().await };
            let answer = call.await;
            assert_eq!(answer.is_ok(), answered, "{weather:?}: {answer:?}");
            assert_eq!(whole.load(Ordering::Relaxed) - before, reaches, "{weather:?}");
            let is_struck = weather != Weather::Clear && strikes.is_empty();
            assert_eq!(proxy.struck(), u64::from(is_struck), "{weather:?}");
        }
    }
}
