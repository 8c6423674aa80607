//! Milestones by their titles.

use serde::Deserialize;
use syncline_core::remote::ProviderError;

use super::{link, session::Session, walk};
use crate::rest::Call;

#[derive(Deserialize)]
struct Milestone {
    number: u64,
    title: String,
}

/// The number of the milestone with this title; `None` where there is none.
pub(super) async fn number(session: &Session<'_>, title: &str) -> Result<Option<u64>, ProviderError> {
    let mut call =
        Call::get(session.path("/milestones")).query("state", "all").query("per_page", walk::ROWS_MAX.to_string());
    loop {
        let answer = session.get_again(call).await?;
        let milestones: Vec<Milestone> = answer.json()?;
        if let Some(found) = milestones.iter().find(|milestone| milestone.title == title) {
            return Ok(Some(found.number));
        }
        match link::next(session, &answer)? {
            Some(path) => call = Call::get(path),
            None => return Ok(None),
        }
    }
}
