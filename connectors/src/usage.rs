//! What answers tell of a provider's budgets. It stands in headers of every answer, good or bad, which the results of
//! calls do not carry; so it is overheard.

use std::{borrow::Cow, cell::RefCell};

use http::HeaderMap;
use syncline_core::budget::Usage;

/// The state of one budget, as an answer told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetUsage {
    /// The budget's name, as in [`syncline_core::budget::BudgetFacts::name`].
    pub budget: Cow<'static, str>,
    /// Its state.
    pub usage: Usage,
}

tokio::task_local! {
    static OVERHEARD: RefCell<Vec<BudgetUsage>>;
}

/// Runs calls of a connector, and hands back beside their result what their answers told of budgets, in the order in
/// which they came. Feed it to [`syncline_core::budget::Budgets::learn`]: the provider's count holds the calls of others.
pub async fn overhear<T>(calls: impl Future<Output = T>) -> (T, Vec<BudgetUsage>) {
    let told = OVERHEARD.scope(RefCell::default(), async {
        let result = calls.await;
        (result, OVERHEARD.with(RefCell::take))
    });
    told.await
}

/// Notes what an answer's headers tell, if anybody listens.
pub(crate) fn tell(headers: &HeaderMap, read: impl FnOnce(&HeaderMap) -> Vec<BudgetUsage>) {
    // Nobody has to listen: then there is no place to note it, and nothing is lost but a forecast.
    let _ = OVERHEARD.try_with(|told| told.borrow_mut().extend(read(headers)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &HeaderMap) -> Vec<BudgetUsage> {
        let remaining = headers["left"].to_str().expect("text").parse().expect("a number");
        vec![BudgetUsage { budget: "calls".into(), usage: Usage { limit: None, remaining, reset: None } }]
    }

    fn headers(left: &'static str) -> HeaderMap {
        [(http::HeaderName::from_static("left"), http::HeaderValue::from_static(left))].into_iter().collect()
    }

    #[tokio::test]
    async fn what_calls_tell_comes_back_beside_their_result() {
        let calls = async {
            tell(&headers("2"), read);
            tokio::task::yield_now().await;
            tell(&headers("1"), read);
            "done"
        };
        let (result, told) = overhear(calls).await;
        let remaining: Vec<u32> = told.iter().map(|told| told.usage.remaining).collect();
        assert_eq!((result, remaining), ("done", vec![2, 1]));
    }

    #[tokio::test]
    async fn calls_that_nobody_overhears_are_no_failure() {
        tell(&headers("2"), read);
    }
}
