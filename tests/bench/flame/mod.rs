//! A flame graph of a loaded media worker: `perf` looks at the node's process while it forwards.

mod drawing;
mod stacks;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::report::{Load, Way};
use crate::rig::Rig;
use crate::{Cli, origo};
use stacks::Stacks;

/// Looks each second; a prime, so that nothing that repeats is looked at in step.
const LOOKS_PER_SECOND: &str = "997";
/// Bytes of a stack that are kept with each look, for finding who called whom.
const STACK: &str = "dwarf,16384";
/// What a worker's thread is called.
const THREAD: &str = "media-0";
/// Its outermost function of ours.
const OUTERMOST: &str = "Driver::run";

/// Loads a node, looks at its worker for that long and draws what it did.
pub async fn draw(cli: &Cli, length: Duration, to: &Path) -> Result<()> {
    let rig = Rig::start(&origo(cli)?, Way::Own, cli).await.context("the node")?;
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("perf.data");
    let seconds = (length + Duration::from_secs(1)).as_secs_f64().to_string();
    let mut perf = Command::new("perf");
    perf.args(["record", "--quiet", "--event", "cpu-clock", "--freq", LOOKS_PER_SECOND, "--call-graph", STACK]);
    perf.arg("--output").arg(&data).args(["--pid", &rig.pid().to_string(), "--", "sleep", &seconds]);
    let perf = perf.stdin(Stdio::null()).spawn().context("running perf, of Debian's package linux-perf")?;
    let section = rig.section(Load::Busy, length).await?;
    ensure!(perf.wait_with_output()?.status.success(), "perf has failed");

    let mut script = Command::new("perf");
    script.args(["script", "--no-inline", "--fields", "comm,ip,sym", "--input"]).arg(&data);
    let said = script.stdin(Stdio::null()).stderr(Stdio::null()).output().context("reading what perf saw")?;
    ensure!(said.status.success(), "perf cannot read what it has written");
    let stacks = Stacks::read(&String::from_utf8_lossy(&said.stdout), THREAD, OUTERMOST);
    ensure!(stacks.looks() > 0, "perf has seen nothing of {THREAD}");
    let title = format!(
        "One worker, {} viewers, {} packets a second: {} looks at {THREAD}",
        cli.viewers,
        (section.packets as f64 / section.wall.as_secs_f64()).round(),
        stacks.looks(),
    );
    std::fs::write(to, drawing::svg(&stacks, &title)).with_context(|| format!("writing {}", to.display()))?;
    println!("{}: {title}", to.display());
    for (name, share) in stacks.by_kind() {
        println!("  {:5.1} % {name}", share * 100.0);
    }
    Ok(())
}
