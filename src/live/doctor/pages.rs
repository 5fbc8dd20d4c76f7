//! Pages of metrics, looked at from time to time.

use crate::live::client::{Client, Target};
use crate::live::server::facts::WorkerFacts;
use crate::live::server::{ServerLog, ServerMetrics};
use crate::units::Nanos;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Counters are looked at so often, and so many times, until they have moved.
const PAUSE: Duration = Duration::from_millis(250);
const LOOKS: usize = 4;

/// The pages that there are.
pub(super) struct Pages {
    client: Arc<Client>,
    targets: Vec<(Target, Result<Vec<SocketAddr>, String>)>,
}

/// What all pages said at one moment, or why they did not.
#[derive(Clone, Debug, Default)]
pub(super) struct Looked(pub Vec<Result<String, String>>);

impl Pages {
    /// Finds the hosts of `targets`.
    pub async fn find(client: &Arc<Client>, targets: &[Target]) -> Pages {
        let mut found = Vec::new();
        for target in targets {
            let addresses = target.resolve().await;
            let addresses = addresses.map_err(|_| format!("the host {} is not known", target.host));
            found.push((target.clone(), addresses));
        }
        Pages { client: Arc::clone(client), targets: found }
    }

    /// Where they are.
    pub fn urls(&self) -> Vec<String> {
        self.targets.iter().map(|(target, _)| target.root() + &target.path).collect()
    }

    /// Reads them all.
    pub async fn look(&self) -> Looked {
        let mut looked = Vec::new();
        for (target, addresses) in &self.targets {
            looked.push(match addresses {
                Ok(addresses) => {
                    let page = self.client.fetch(target, addresses).await;
                    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
                    page.map(text).map_err(|fault| fault.words)
                }
                Err(why) => Err(why.clone()),
            });
        }
        Looked(looked)
    }

    /// Reads them until they have counted `tokens` prompt tokens since `before`, but not for long: some
    /// servers count late.
    pub async fn look_after(&self, before: &Looked, tokens: u32) -> Looked {
        let mut looked = self.look().await;
        for _ in 1..LOOKS {
            let counted = self.change(before, &looked).query_tokens;
            if counted.is_none_or(|counted| counted >= f64::from(tokens)) {
                break;
            }
            tokio::time::sleep(PAUSE).await;
            looked = self.look().await;
        }
        looked
    }

    /// What was counted from one look to another.
    pub fn change(&self, before: &Looked, after: &Looked) -> ServerMetrics {
        let mut log = ServerLog::new(self.urls());
        for (at, looked) in [(Nanos::ZERO, before), (Nanos(1), after)] {
            for (place, page) in looked.0.iter().enumerate() {
                log.scraped(place, at, page.as_deref().map_err(Clone::clone));
            }
        }
        log.finish()
    }
}

impl Looked {
    /// What each page says of its server's cache.
    pub fn configs(&self) -> Vec<Option<WorkerFacts>> {
        let config = |page: &Result<String, String>| Some(WorkerFacts::of(page.as_deref().ok()?));
        self.0.iter().map(config).collect()
    }
}
