//! `syncline sandbox`: emulators of the providers' APIs, for developing offline.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use clap::Args;
use serde_json::json;
use syncline_sandbox::{Population, Running, Sandbox, SandboxConfig};

use super::{
    failure::Failure,
    faults::Faults,
    output::{Item, Output, Tone},
    signals,
};

/// The arguments of `sandbox`.
#[derive(Args)]
pub(crate) struct SandboxArgs {
    /// The port of the Salesforce emulator; 0 takes a free one.
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    salesforce_port: u16,
    /// The port of the HubSpot emulator; 0 takes a free one.
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    hubspot_port: u16,
    /// The port of the Zendesk emulator; 0 takes a free one.
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    zendesk_port: u16,
    /// The port of the GitHub emulator; 0 takes a free one.
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    github_port: u16,
    /// The address to listen on. The emulators check tokens but their side door does not: keep them on loopback.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), value_name = "IP")]
    bind: IpAddr,
    /// Contacts in each account; six of ten are in both.
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    contacts: u64,
    /// Everything random follows from it.
    #[arg(long, default_value_t = 1, value_name = "S")]
    seed: u64,
    /// How often things go wrong.
    #[arg(long, value_enum, default_value_t = Faults::Usual)]
    faults: Faults,
    /// Multiplies every lag and overlap; 1 is real length.
    #[arg(long, default_value_t = 1.0, value_parser = time_scale, value_name = "FACTOR")]
    time_scale: f64,
}

fn time_scale(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|scale: &f64| scale.is_finite() && (0.0..=1_000.0).contains(scale))
        .ok_or_else(|| "give a number from 0 to 1000".to_owned())
}

/// People that are in both accounts, of `contacts` in each.
fn shared(contacts: u64) -> u64 {
    contacts / 10 * 6 + contacts % 10 * 6 / 10
}

impl SandboxArgs {
    /// Runs the emulators until the process is asked to end.
    pub(crate) async fn run(self, output: Output) -> Result<(), Failure> {
        let sandbox = Sandbox::start(self.config()).await.map_err(|error| Failure::said(error.to_string()))?;
        let running: Vec<(&str, &Running)> = sandbox.running().collect();
        let asked = signals::ended()?;
        announce(&running, output)?;
        asked.await;
        sandbox.shutdown().await;
        Ok(())
    }

    fn config(&self) -> SandboxConfig {
        SandboxConfig {
            seed: self.seed,
            contacts: Population { per_system: self.contacts, shared: shared(self.contacts), ..Population::demo() },
            faults: self.faults.into(),
            time_scale: self.time_scale,
            salesforce: Some(SocketAddr::new(self.bind, self.salesforce_port)),
            hubspot: Some(SocketAddr::new(self.bind, self.hubspot_port)),
            zendesk: Some(SocketAddr::new(self.bind, self.zendesk_port)),
            github: Some(SocketAddr::new(self.bind, self.github_port)),
            ..SandboxConfig::default()
        }
    }
}

/// Prints the addresses and tokens. The tokens are worth nothing outside this process, so they may be shown.
fn announce(running: &[(&str, &Running)], output: Output) -> io::Result<()> {
    if output.is_json() {
        let object: serde_json::Map<String, serde_json::Value> = running
            .iter()
            .map(|(name, running)| {
                let facts = json!({
                    "url": running.base_url,
                    "admin": running.admin_url,
                    "client_id": running.credentials.client_id,
                    "client_secret": running.credentials.client_secret,
                    "refresh_token": running.credentials.refresh_token,
                    "integration_token": running.credentials.integration_token,
                    "user_token": running.credentials.user_token,
                    "api_token": running.credentials.api_token,
                    "private_key": running.credentials.private_key,
                });
                ((*name).to_owned(), facts)
            })
            .collect();
        return output.json(&object);
    }
    let mut rows = Vec::new();
    for (name, running) in running {
        let credentials = &running.credentials;
        for (what, value) in [
            ("API", &running.base_url),
            ("side door", &running.admin_url),
            ("client id", &credentials.client_id),
            ("client secret", &credentials.client_secret),
            ("refresh token", &credentials.refresh_token),
            ("integration token", &credentials.integration_token),
            ("user token", &credentials.user_token),
            ("API token", &credentials.api_token),
        ] {
            rows.push(vec![Item::text(name), Item::text(what).tone(Tone::Dim), Item::text(value)]);
        }
        if credentials.private_key.is_some() {
            let what = Item::text("private key").tone(Tone::Dim);
            rows.push(vec![Item::text(name), what, Item::text("of several lines: --json shows it")]);
        }
    }
    output.table(&["provider", "what", "value"], rows, "no emulator was started")?;
    output.line(Tone::Dim.paint("Ctrl-C ends it; nothing is kept."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_of_ten_are_shared() {
        for (contacts, expected) in [(0, 0), (1, 0), (5, 3), (10, 6), (1_000, 600), (u64::MAX, u64::MAX / 10 * 6 + 3)] {
            assert_eq!(shared(contacts), expected, "{contacts}");
        }
    }
}
