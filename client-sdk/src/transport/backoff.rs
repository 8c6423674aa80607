//! How long to wait before a lost connection is made anew.

use std::time::Duration;

use rand::{Rng, RngExt as _};

/// The first wait; doubles up to [`WAIT_MAX`].
const WAIT_MIN: Duration = Duration::from_secs(1);
/// The longest wait.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(60);
/// The shortest wait after a server has said that it is overloaded.
const OVERLOAD_WAIT_MIN: Duration = Duration::from_secs(5);

/// Waits that grow with every failure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    wait: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { wait: WAIT_MIN }
    }
}

impl Backoff {
    /// The connection was of use: the next wait is short again.
    pub(crate) fn reset(&mut self) {
        self.wait = WAIT_MIN;
    }

    /// The next wait. Half of it is random, so that the clients of a restarted server do not return in one instant.
    pub(crate) fn next(&mut self, rng: &mut dyn Rng) -> Duration {
        let wait = self.wait;
        self.wait = (wait * 2).min(WAIT_MAX);
        wait.mul_f64(rng.random_range(0.5..1.0))
    }

    /// The wait after an overloaded server has named a time, or has named none.
    pub(crate) fn overloaded(&mut self, named: Option<Duration>, rng: &mut dyn Rng) -> Duration {
        let own = self.next(rng).max(OVERLOAD_WAIT_MIN);
        named.map_or(own, |named| named.min(WAIT_MAX).mul_f64(rng.random_range(1.0..1.5)))
    }
}

/// The time that a reason such as `too many clients; retry in 20 s` names: its first whole number, in seconds.
pub(crate) fn named_wait(reason: &str) -> Option<Duration> {
    let digits = reason.split(|c: char| !c.is_ascii_digit()).find(|part| !part.is_empty())?;
    digits.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_begin_anew() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let mut backoff = Backoff::default();
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            let (wait, full) = (backoff.next(&mut rng), Duration::from_secs(seconds));
            assert!(wait >= full / 2 && wait < full, "{wait:?} of {full:?}");
        }
        backoff.reset();
        assert!(backoff.next(&mut rng) < WAIT_MIN);
    }

    /// Ten thousand clients lose one server in one instant, and again at each try: no twentieth of a wait sees more than a
    /// fair share and a half of them.
    ///
    /// Fails without the random half of [`Backoff::next`].
    #[test]
    fn row_24_clients_of_a_restarted_server_do_not_return_together() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(24);
        let mut clients = vec![Backoff::default(); 10_000];
        for seconds in [1, 2, 4, 8] {
            let mut returns = [0; 20];
            for client in &mut clients {
                let share = client.next(&mut rng).div_duration_f64(Duration::from_secs(seconds));
                returns[(share * 20.0) as usize] += 1;
            }
            let fair = clients.len() / 10;
            assert!(returns.iter().all(|returns| *returns <= fair + fair / 2), "after {seconds} s: {returns:?}");
        }
    }

    #[test]
    fn an_overloaded_server_is_given_the_time_that_it_names() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let mut backoff = Backoff::default();
        let named = named_wait("too many clients; retry in 20 s");
        let wait = backoff.overloaded(named, &mut rng);
        assert!(wait >= Duration::from_secs(20) && wait < Duration::from_secs(30), "{wait:?}");
        assert!(backoff.overloaded(named_wait("too many clients"), &mut rng) >= OVERLOAD_WAIT_MIN);
    }
}
