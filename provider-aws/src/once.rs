//! What one look at an account asks once, however many of its objects need the answer.

use platform_core::{Error, ErrorKind, Result};
use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::OnceCell;

type Answer = Arc<dyn Any + Send + Sync>;
type Question = (TypeId, String);

/// Answers by their type and what was asked.
#[derive(Debug, Default)]
pub(crate) struct Once(Mutex<HashMap<Question, Arc<OnceCell<Answer>>>>);

impl Once {
    /// The answer; whoever comes first asks, the others wait. An error is nobody else's.
    pub(crate) async fn get<T: Send + Sync + 'static>(
        &self,
        what: &str,
        ask: impl Future<Output = Result<T>> + Send,
    ) -> Result<Arc<T>> {
        let cell = {
            let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(cells.entry((TypeId::of::<T>(), what.to_owned())).or_default())
        };
        let answer = cell
            .get_or_try_init(|| async { Ok::<Answer, Error>(Arc::new(ask.await?)) })
            .await?;
        Arc::downcast(Arc::clone(answer))
            .map_err(|_| Error::new(ErrorKind::Internal, format!("{what} was answered in another form")))
    }
}

#[cfg(test)]
mod tests {
    use super::Once;
    use futures::executor::block_on;
    use platform_core::{Error, ErrorKind};
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn answers_are_asked_for_once_and_errors_again() {
        let (once, asked) = (Once::default(), AtomicU32::new(0));
        let ask = |good: bool| {
            let asked = asked.fetch_add(1, Ordering::SeqCst);
            async move {
                if good {
                    Ok(asked)
                } else {
                    Err(Error::new(ErrorKind::Unavailable, "no"))
                }
            }
        };
        block_on(async {
            assert!(once.get("a", ask(false)).await.is_err());
            let both = futures::join!(once.get("a", ask(true)), once.get("a", async { Ok(7_u32) }));
            assert_eq!((both.0.ok().as_deref(), both.1.ok().as_deref()), (Some(&1), Some(&1)));
            assert_eq!(once.get("b", async { Ok(8) }).await.ok().as_deref(), Some(&8));
            assert_eq!(once.get("a", async { Ok("text") }).await.ok().as_deref(), Some(&"text"));
        });
    }
}
