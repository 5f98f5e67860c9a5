//! Rooms full of headless participants: who joins where and for how long, and what they saw.

mod assertion;
mod churn;
mod cost;
mod crowd;
mod member;
mod plan;
mod progress;
mod summary;
mod tally;

pub use assertion::{Assertion, AssertionError, FIGURES, Figure, Verdict};
pub use churn::Churn;
pub use cost::{Cost, Spent, process_cpu};
pub use crowd::{Crowd, LoadError, Measurement};
pub use plan::{Credentials, Placement, Plan, Seat, Server};
pub use progress::Progress;
pub use summary::{Percentiles, PlaceSummary, Summary};

/// Does what the plan says, with a call of `each_second` while it lasts.
pub async fn run(plan: &Plan, mut each_second: impl FnMut(Progress)) -> Result<Summary, LoadError> {
    let crowd = Crowd::open(plan)?;
    crowd.tell_while(crowd.gather(), &mut each_second).await;
    crowd.churn(plan.churn.is_some());
    let measurement = crowd.measure().await;
    crowd.tell_while(tokio::time::sleep(plan.duration), &mut each_second).await;
    crowd.finish(measurement).await
}
