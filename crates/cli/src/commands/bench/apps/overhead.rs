//! What keeping an app apart costs: the same program bare, in each sandbox of a process, and in a container.

use std::{hint::black_box, path::Path, time::Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{Bench, CALLS, Samples, child::asked, pair::Pair, round};

/// Steps of the loop that is bound by the processor alone: a tenth of a second or so.
const STEPS: u64 = 100_000_000;
/// Loops for each sample of `count`.
const LOOPS: u32 = 5;
/// Where the program spins.
pub(super) const SPIN: &str = "/spin";

/// What one way of running came to, in milliseconds.
struct Cost {
    request: f64,
    spin: f64,
}

impl Bench {
    /// Measures each way, the bare one first, and tells the others as ratios to it.
    pub(super) fn overhead(&self, pair: &Pair) -> Result<()> {
        let ways: [(&str, &Path, &[&str]); 4] = [
            ("none", &pair.process, &["--no-sandbox"]),
            ("bubblewrap", &pair.process, &["--sandbox", "bwrap"]),
            ("landlock", &pair.process, &["--sandbox", "landlock"]),
            ("runc", &pair.container, &[]),
        ];
        let mut bare = None;
        for (name, app, words) in ways {
            let cost = match self.cost(app, words) {
                Ok(cost) => cost,
                Err(error) => {
                    self.output.warn(&format!("{name} is not measured, it does not run here: {error:#}"));
                    continue;
                }
            };
            let Cost { request, spin } = *bare.get_or_insert(Cost { ..cost });
            let (request, spin) = (cost.request / request, cost.spin / spin);
            self.output.text(&format!(
                "{name}: a request p50 {:.3} ms ({request:.2} of bare), a loop of the processor p50 {:.1} ms ({spin:.3} of bare)",
                cost.request, cost.spin
            ));
            self.output.object(&json!({
                "event": "bench", "bench": "apps", "figure": "overhead", "kind": name, "request_ms": round(cost.request),
                "request_ratio": round(request), "loop_ms": round(cost.spin), "loop_ratio": round(spin),
            }));
        }
        Ok(())
    }

    fn cost(&self, app: &Path, words: &[&str]) -> Result<Cost> {
        let mut running = self.start(app, words)?;
        let (_, ready) = running.until("ready")?;
        let cost = self.samples(&ready);
        running.interrupt();
        cost
    }

    fn samples(&self, ready: &Value) -> Result<Cost> {
        let (mut requests, mut spins) = (Samples::default(), Samples::default());
        asked(ready, "/")?;
        for _ in 0..CALLS * self.count {
            let begun = Instant::now();
            asked(ready, "/")?;
            requests.push(begun.elapsed());
        }
        for _ in 0..LOOPS * self.count {
            let said = asked(ready, SPIN)?;
            let micros: u64 = said.rsplit('\n').next().unwrap_or_default().parse().context("the app tells no time")?;
            spins.push(std::time::Duration::from_micros(micros));
        }
        Ok(Cost { request: requests.quantile_ms(0.5), spin: spins.quantile_ms(0.5) })
    }
}

/// A loop that nothing but the processor bounds; how long it took, in microseconds.
pub(super) fn spin() -> u128 {
    let begun = Instant::now();
    // xorshift64.
    let mut state = black_box(0x9e37_79b9_7f4a_7c15_u64);
    for _ in 0..STEPS {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
    }
    black_box(state);
    begun.elapsed().as_micros()
}
