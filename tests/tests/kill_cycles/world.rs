//! One world: two accounts, a cast, and one life of the process after the other.

use std::{
    os::unix::process::ExitStatusExt as _,
    process::ExitStatus,
    time::{Duration, Instant},
};

use rand::{RngExt as _, seq::SliceRandom as _};
use syncline_client::{Api, Steering};
use syncline_server::failpoint::{self, Point};
use syncline_tests::{
    api::KEY,
    patience::PATIENCE,
    process::{Process, Start},
    stage::{Setting, Stage},
};

use crate::{
    audience::Audience,
    book::Book,
    gone::Gone,
    judgement::{self, Links},
    program::Desk,
    provocation::Provocation,
    tally::Tally,
    traffic::{self, Company, Member, Pen},
};

/// Contacts of the cast that each account brings.
const CAST: [usize; 2] = [8, 4];
/// How long a knifed life lasts, at most, once the process is ready.
const LIFE_MAX: Duration = Duration::from_millis(500);
/// Time between two edits of the program: each costs it a durable write of its own.
const EDIT_EVERY: Duration = Duration::from_millis(100);
/// Time between two looks at the process.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// Signals by which the process ends: by itself at a fail point, and by ours.
const ABORTED: i32 = 6;
const KILLED: i32 = 9;
/// Longer than the field takes.
const TOO_LONG: usize = 200;

/// How a life is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    At(Point, u64),
    Knife(Duration),
}

/// The world.
pub(crate) struct World {
    stage: Stage,
    api: Api,
    pen: Pen,
    book: Book,
    desk: Desk,
    audience: Audience,
    links: Links,
    cast: Vec<Member>,
    /// The contact of which one account holds a value that cannot be taken in.
    misfit: Member,
    /// The contact that two users edit unseen by each other.
    rival: Member,
    /// What they wrote last.
    rivals_wrote: Vec<String>,
}

impl World {
    /// Sets the stage, and has everybody know each other before the first death.
    pub(crate) async fn begin(seed: u64) -> Self {
        let configuration = include_str!("syncline.yaml");
        let stage = Stage::of(Setting { configuration, ..Setting::default() }).await;
        let mut pen = Pen::new(seed);
        for (account, contacts) in stage.accounts().iter().zip(CAST) {
            for _ in 0..contacts {
                traffic::user_creates(account, &pen.tag()).await;
            }
        }
        let api = Api::new(&stage.url(), KEY).expect("an address");
        stage.hubspot().push_to(&format!("{}/v1/webhooks/demo-hubspot", stage.url())).await;
        let process = ready(stage.launch(&[]));
        judgement::grow_quiet(&stage, &api).await;
        let audience = Audience::seat(&api).await;
        let links = judgement::links(&api).await;
        process.kill();
        let mut cast = members(&links);
        assert_eq!(cast.len(), CAST.iter().sum::<usize>(), "everybody is linked");
        let desk = Desk::new(stage.file("program.db"), stage.url());
        let (misfit, rival) = (cast.pop().expect("a cast"), cast.pop().expect("a cast"));
        Self {
            stage,
            api,
            pen,
            book: Book::default(),
            desk,
            audience,
            links,
            cast,
            misfit,
            rival,
            rivals_wrote: Vec::new(),
        }
    }

    /// Dies at every point once, in some order, and by so many knives; then is judged.
    pub(crate) async fn live_and_die(mut self, tally: &mut Tally, knives: u32) {
        let mut deaths: Vec<Death> = Vec::new();
        for point in Point::ALL {
            let hits = self.pen.rng.random_range(1..=Provocation::of(*point).hits_max());
            deaths.push(Death::At(*point, hits));
        }
        for _ in 0..knives {
            deaths.push(Death::Knife(self.pen.rng.random_range(Duration::ZERO..LIFE_MAX)));
        }
        deaths.shuffle(&mut self.pen.rng);
        let begun = Instant::now();
        for death in &deaths {
            self.prepare(*death, tally).await;
            self.live(*death, tally).await;
        }
        println!("  {} lives in {:.1?}", deaths.len(), begun.elapsed());
        self.judge().await;
        println!("  judged after {:.1?}", begun.elapsed());
    }

    /// What has to be so before the life begins.
    async fn prepare(&mut self, death: Death, tally: &mut Tally) {
        let Death::At(point, _) = death else { return };
        match Provocation::of(point) {
            Provocation::Tokens => {
                for account in self.stage.accounts() {
                    account.expire_tokens().await;
                }
            }
            Provocation::Misfit => {
                let long = format!("{}{}", self.pen.tag(), "x".repeat(TOO_LONG));
                self.stage.hubspot().edit(&self.misfit.objects[1], &[("title", &long)]).await;
            }
            Provocation::Rivals => {
                self.rivals_wrote = traffic::quarrel(&self.stage.accounts(), &self.rival, &mut self.pen).await;
            }
            Provocation::Interrupted => self.live(Death::At(Point::IntentAfter, 1), tally).await,
            Provocation::Uncreated => {
                let process = ready(self.stage.launch(&[]));
                judgement::grow_quiet(&self.stage, &self.api).await;
                process.kill();
                tally.knifed();
                for _ in 0..3 {
                    traffic::user_creates(&self.stage.salesforce(), &self.pen.tag()).await;
                }
                self.live_quietly(Death::At(Point::IntentAfter, 1), tally).await;
            }
            Provocation::Start
            | Provocation::Traffic
            | Provocation::Reset
            | Provocation::Program
            | Provocation::Draft
            | Provocation::Farewell => {}
        }
    }

    /// A life with what its death needs.
    async fn live(&mut self, death: Death, tally: &mut Tally) {
        let Some(process) = self.start(death, tally) else { return };
        let Self { stage, api, pen, book, desk, cast, rival, rivals_wrote, .. } = self;
        let company = Company { accounts: stage.accounts(), api, book, cast };
        let asked = process.pid();
        let gone = Gone::default();
        let life = async {
            judgement::reads_its_own_writes(api, book).await;
            let Death::At(point, _) = death else { return traffic::play(&company, pen, &gone).await };
            match Provocation::of(point) {
                Provocation::Reset => {
                    while !gone.within(LIFE_MAX).await {
                        // The answer may well be cut off.
                        let _ = api.steer_sync("contacts", None, Steering::Reset).await;
                    }
                }
                Provocation::Rivals => traffic::settle_rivals(&company, rival, rivals_wrote, pen, &gone).await,
                Provocation::Program | Provocation::Draft => {
                    let program = desk.open().await;
                    while !gone.within(EDIT_EVERY).await {
                        match Provocation::of(point) {
                            Provocation::Draft => desk.draft(&program, &pen.tag()).await,
                            _ => {
                                desk.create(&program, &pen.tag()).await;
                                let draw = pen.rng.random_range(0..usize::MAX);
                                desk.edit(&program, cast[draw % cast.len()].record, &pen.tag()).await;
                            }
                        }
                    }
                    program.end().await;
                }
                Provocation::Farewell => {
                    Process::signal_to(asked, "TERM");
                    gone.wait().await;
                }
                Provocation::Uncreated => gone.wait().await,
                _ => traffic::play(&company, pen, &gone).await,
            }
        };
        let (ended, ()) = tokio::join!(until_ended(process, death, &gone, stage), life);
        note(death, ended, tally, stage);
    }

    /// A life in which nobody does anything.
    async fn live_quietly(&mut self, death: Death, tally: &mut Tally) {
        if let Some(process) = self.start(death, tally) {
            let ended = until_ended(process, death, &Gone::default(), &self.stage).await;
            note(death, ended, tally, &self.stage);
        }
    }

    /// Starts the process; `None` where it has died before it was ready.
    fn start(&self, death: Death, tally: &mut Tally) -> Option<Process> {
        let armed = match death {
            Death::At(point, hits) => vec![(failpoint::ENVIRONMENT.to_owned(), format!("{point}:{hits}"))],
            Death::Knife(_) => Vec::new(),
        };
        match tokio::task::block_in_place(|| self.stage.launch(&armed)) {
            Start::Ready(process) => Some(process),
            Start::Ended(status) => {
                note(death, status, tally, &self.stage);
                None
            }
        }
    }

    /// Faults are over: everything is settled, and judged.
    async fn judge(mut self) {
        let process = ready(self.stage.launch(&[]));
        let mended = self.pen.tag();
        self.stage.hubspot().edit(&self.misfit.objects[1], &[("title", &mended)]).await;
        judgement::clear_doubts(&self.api, &self.book).await;
        self.book.note(self.desk.settle().await);
        judgement::grow_quiet(&self.stage, &self.api).await;
        let mut links = judgement::links(&self.api).await;
        links.extend(self.links.clone());
        judgement::judge_sides(&self.stage, &self.api, &links, &self.book).await;
        judgement::judge_feed(&self.api, &self.audience).await;
        assert_eq!(process.terminate(), Some(0), "the server ends well");
        judgement::judge_file(&self.stage).await;
    }
}

/// A process that is up.
fn ready(start: Start) -> Process {
    match start {
        Start::Ready(process) => process,
        Start::Ended(status) => panic!("the server did not start: {status}"),
    }
}

/// Waits until the process has ended, and tells so; how it did.
async fn until_ended(mut process: Process, death: Death, gone: &Gone, stage: &Stage) -> ExitStatus {
    let begun = Instant::now();
    loop {
        let mut ended = process.ended();
        if let Death::Knife(after) = death
            && begun.elapsed() >= after
        {
            process.signal("KILL");
            ended = Some(process.wait());
        }
        if let Some(status) = ended {
            gone.tell();
            return status;
        }
        assert!(begun.elapsed() < PATIENCE, "{death:?} was not reached within {PATIENCE:?}\n{}", stage.log_tail());
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn note(death: Death, status: ExitStatus, tally: &mut Tally, stage: &Stage) {
    match (death, status.signal()) {
        (Death::At(point, _), Some(ABORTED)) => tally.died_at(point),
        (Death::Knife(_), Some(KILLED)) => tally.knifed(),
        _ => panic!("{death:?}, but it ended by itself: {status}\n{}", stage.log_tail()),
    }
}

/// The contacts that both accounts have.
fn members(links: &Links) -> Vec<Member> {
    let first = links.iter().filter(|((place, _), _)| *place == 0);
    first
        .filter_map(|((_, object), record)| {
            let ((_, other), _) = links.iter().find(|((place, _), linked)| *place == 1 && *linked == record)?;
            let objects = [object.clone(), other.clone()];
            Some(Member { record: record.parse().ok()?, objects })
        })
        .collect()
}
