//! Futures dropped half-way, without sleeping: a future is polled a given number of times and then dropped.

use std::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll},
};

struct Polls<'a, F> {
    inner: Pin<&'a mut F>,
    left: usize,
}

impl<F: Future> Future for Polls<'_, F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        match self.inner.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if self.left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// Polls the future at most `polls` times; `None` if it was dropped before its end.
pub(crate) async fn drop_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let inner = pin!(future);
    Polls { inner, left: polls }.await
}
