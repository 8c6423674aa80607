//! The service, over its restarts: one address, one database, and what all its lives counted together.

use std::{net::SocketAddr, sync::PoisonError};

use super::DemoError;
use crate::{config::Config, engine::tally::Counts, service::Service};

/// The service, which may be stopped and started again in the midst of a run.
#[derive(Debug)]
pub(super) struct Host {
    config: Config,
    address: SocketAddr,
    service: tokio::sync::Mutex<Option<Service>>,
    /// What earlier lives did, and how many there were.
    past: std::sync::Mutex<Past>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Past {
    counts: Counts,
    restarts: u64,
}

impl Host {
    /// Starts the service; every later life has the address of the first.
    pub(super) async fn start(mut config: Config) -> Result<Self, DemoError> {
        let service = begin(&config).await?;
        let address = service.address();
        config.server.listen = address;
        Ok(Self { config, address, service: tokio::sync::Mutex::new(Some(service)), past: std::sync::Mutex::default() })
    }

    /// Where the service answers.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops the service and starts it again on its database.
    pub(super) async fn restart(&self) -> Result<(), DemoError> {
        let mut service = self.service.lock().await;
        if let Some(running) = service.take() {
            let counts = running.engine().counts();
            end(running).await?;
            let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
            *past = Past { counts: past.counts.plus(counts), restarts: past.restarts + 1 };
        }
        *service = Some(begin(&self.config).await?);
        Ok(())
    }

    /// What the service has done, in all its lives.
    pub(super) async fn counts(&self) -> Counts {
        let now = self.service.lock().await.as_ref().map(|service| service.engine().counts()).unwrap_or_default();
        self.past.lock().unwrap_or_else(PoisonError::into_inner).counts.plus(now)
    }

    /// How often it was stopped and started again.
    pub(super) fn restarts(&self) -> u64 {
        self.past.lock().unwrap_or_else(PoisonError::into_inner).restarts
    }

    /// Stops the service for good.
    pub(super) async fn stop(self) -> Result<(), DemoError> {
        match self.service.into_inner() {
            Some(service) => end(service).await,
            None => Ok(()),
        }
    }
}

async fn begin(config: &Config) -> Result<Service, DemoError> {
    Service::start(config).await.map_err(|error| DemoError::Start(error.to_string()))
}

async fn end(service: Service) -> Result<(), DemoError> {
    service.stop().await.map_err(|error| DemoError::Start(error.to_string()))
}
