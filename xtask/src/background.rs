//! A runtime of one's own for peers that live beside a test, usable from blocking and from async code alike.

use std::{future::Future, sync::mpsc};

use anyhow::{Context, Result};
use tokio::runtime::{Builder, Runtime};

/// One worker thread that runs the tasks of one peer; dropping it ends them all.
#[derive(Debug)]
pub struct Background {
    runtime: Option<Runtime>,
}

impl Background {
    /// Starts the thread, named `name`.
    ///
    /// # Errors
    /// The thread cannot be made.
    pub fn start(name: &str) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name(name)
            .enable_all()
            .build()
            .with_context(|| format!("start the thread of {name}"))?;
        Ok(Self { runtime: Some(runtime) })
    }

    /// Runs `future` beside the caller until it ends or this value is dropped.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.runtime {
            drop(runtime.spawn(future));
        }
    }

    /// Runs `future` on the thread and blocks the caller until it has ended.
    ///
    /// # Errors
    /// The future panicked; its own result is inside.
    pub fn wait<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> Result<T> {
        let (sender, receiver) = mpsc::channel();
        self.spawn(async move {
            // the receiver waits below; it is gone only if its thread was
            let _ = sender.send(future.await);
        });
        receiver.recv().context("a background task ended without a result")
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // a plain drop would panic inside a caller's own runtime
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
