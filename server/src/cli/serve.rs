//! `syncline serve`: runs the server.

use std::{path::PathBuf, pin::pin};

use clap::Args;
use serde_json::json;

use super::{
    failure::Failure,
    logging::{self, LogFormat},
    output::{Output, Tone},
    signals,
};
use crate::{config::Config, engine::clock, failpoint, service::Service};

/// The arguments of `serve`.
#[derive(Args)]
pub(crate) struct Serve {
    /// The configuration file.
    #[arg(long, env = "SYNCLINE_CONFIG", default_value = "syncline.yaml", value_name = "FILE")]
    config: PathBuf,
    /// The form of log lines, which go to standard error.
    #[arg(long, env = "SYNCLINE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log: LogFormat,
}

impl Serve {
    /// Runs the server until the process is asked to end; a second request ends it at once. SIGHUP exchanges webhook secrets.
    pub(crate) async fn run(self, output: Output) -> Result<(), Failure> {
        failpoint::arm()?;
        clock::shift()?;
        let config = Config::load(&self.config)?;
        logging::start(self.log);
        let mut hangups = signals::Hangups::listen()?;
        let mut service = Service::start(&config).await?;
        // Before the address is told: whoever knows it may ask the process to end.
        let asked = signals::ended()?;
        let url = format!("http://{}", service.address());
        if output.is_json() {
            output.json(&json!({"api": url, "live": format!("ws://{}/v1/live", service.address())}))?;
        } else {
            output.line(format!(
                "{} {url}  {}",
                Tone::Good.paint("listening on"),
                Tone::Dim.paint("Ctrl-C ends it; the API's description is at /v1/openapi.json")
            ))?;
        }
        // Listens all along, so that no request to end comes while nobody does.
        let mut asked = pin!(asked);
        let failure = loop {
            tokio::select! {
                () = &mut asked => break None,
                failure = service.failed() => break Some(failure.into()),
                () = hangups.next() => self.renew_webhook_secrets(&service),
            }
        };
        tracing::info!("stopping: open requests and present steps are finished first");
        let asked_again = signals::ended()?;
        tokio::select! {
            stopped = service.stop() => stopped?,
            () = asked_again => return Err(Failure::said("stopped at once; what was under way is taken up again at the next start")),
        }
        failure.map_or(Ok(()), Err)
    }

    /// Reads the configuration again, and exchanges the secrets that webhooks are verified with. What cannot be read changes nothing.
    fn renew_webhook_secrets(&self, service: &Service) {
        match Config::load(&self.config) {
            Ok(config) => service.engine().renew_webhook_secrets(&config),
            Err(problems) => {
                tracing::error!(%problems, "the configuration cannot be read again: the webhook secrets stay as they are");
            }
        }
    }
}
