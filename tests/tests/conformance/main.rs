//! One suite over every connector, each against the emulator of its provider, which knows nothing of the connector, or a real database. A new
//! provider costs one [`subject::Vocabulary`] here and no new test.
//!
//! Time is a manual clock: nothing sleeps, and lags pass when a test says so.

mod github;
mod lifecycle;
mod mishaps;
mod reads;
mod side_door;
mod subject;
mod table;
mod webhooks;
mod writes;
mod zendesk;

/// Stamps a story onto every provider.
#[macro_export]
macro_rules! for_every_connector {
    ($($story:ident),+ $(,)?) => {
        mod salesforce {
            $(#[tokio::test]
            async fn $story() {
                super::$story(&mut $crate::subject::Subject::salesforce().await).await;
            })+
        }
        mod hubspot {
            $(#[tokio::test]
            async fn $story() {
                super::$story(&mut $crate::subject::Subject::hubspot().await).await;
            })+
        }
        mod github {
            $(#[tokio::test]
            async fn $story() {
                super::$story(&mut $crate::subject::Subject::github().await).await;
            })+
        }
        mod zendesk {
            $(#[tokio::test]
            async fn $story() {
                super::$story(&mut $crate::subject::Subject::zendesk().await).await;
            })+
        }
        mod postgres {
            $(#[tokio::test]
            async fn $story() {
                super::$story(&mut $crate::subject::Subject::postgres().await).await;
            })+
        }
        mod hubspot_by_manifest {
            $(#[tokio::test]
            async fn $story() {
                super::$story(&mut $crate::subject::Subject::hubspot_by_manifest().await).await;
            })+
        }
        mod zendesk_by_manifest {
            $(#[tokio::test]
            async fn $story() {
                super::$story(&mut $crate::subject::Subject::zendesk_by_manifest().await).await;
            })+
        }
    };
}
