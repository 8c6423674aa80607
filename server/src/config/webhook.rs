//! The secrets that webhooks are verified with.

use super::{
    secret::{Resolver, Secret},
    spot::Spot,
};

/// How many secrets one connection's webhooks may be signed with: the one in use, its successor, and two to spare. Each is tried on
/// every delivery, forged ones included.
const SECRETS_MAX: usize = 4;

/// Reads a list of secrets, the newest first.
pub(super) fn secrets(spot: &Spot<'_>, resolver: Resolver<'_>) -> Option<Vec<Secret>> {
    let items = spot.list()?;
    if items.is_empty() || items.len() > SECRETS_MAX {
        spot.problem(
            format!("there are {} secrets in the list", items.len()),
            format!(
                "list the secret that the provider signs with, and the former one until it is used no more; at most {SECRETS_MAX}"
            ),
        );
        return None;
    }
    let secrets: Vec<Secret> = items.iter().map_while(|item| resolver.secret(item)).collect();
    for (place, item) in items.iter().enumerate().take(secrets.len()) {
        if secrets[..place].contains(&secrets[place]) {
            item.problem("the list has the same secret twice", "remove one of the two, or give the former secret");
            return None;
        }
    }
    (secrets.len() == items.len()).then_some(secrets)
}
