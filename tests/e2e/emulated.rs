//! A short scenario on real nodes in network namespaces beside the simulator, and what an emulation leaves behind. Needs
//! root; says so and does nothing without it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use origo_tests::process::{origo, until};
use serde_json::Value;

/// Longest wait for a mesh to come up.
const WAIT: Duration = Duration::from_secs(60);
/// Three regions, seven people, and a second of losses.
const SCENARIO: &str = r#"
[run]
duration = "6s"
warmup = "2s"
[topology]
matrix = "azure"
nodes = ["westeurope", "eastus", "brazilsouth"]
[every_link]
configured_rate = "50Mbps"
[[room]]
name = "short"
publishers = [{ node = ["westeurope", "eastus"], video = [{ w = 320, kbps = 150 }] }]
viewers = [{ node = ["westeurope", "eastus", "brazilsouth"] }, { node = "brazilsouth", layer = "none", count = 2 }]
[[fault]]
at = "4s"
degrade = { from = "westeurope", to = "*", loss = 5 }
lasts = "1s"
"#;

/// `origo-sim`, which stands beside `origo`; `None` where nothing can be emulated.
fn simulator() -> Result<Option<PathBuf>> {
    // SAFETY: it takes nothing and gives an integer.
    if unsafe { libc::geteuid() } != 0 {
        eprintln!("not run: emulation needs root, to make network namespaces");
        return Ok(None);
    }
    let path = origo()?.with_file_name("origo-sim");
    ensure!(path.is_file(), "{} is missing: run `cargo build -p origo-sim -p origo-client`", path.display());
    Ok(Some(path))
}

fn emulate(simulator: &Path, words: &[&str]) -> Result<Output> {
    let output = Command::new(simulator).arg("emulate").args(words).stdin(Stdio::null()).output()?;
    if output.status.code() == Some(2) {
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(output)
}

fn namespaces() -> Vec<String> {
    let entries = std::fs::read_dir("/run/netns").into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("og-emu-")).collect()
}

#[test]
fn a_scenario_on_real_nodes_gives_what_the_simulator_gives_and_leaves_nothing_behind() -> Result<()> {
    let Some(simulator) = simulator()? else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("short.toml");
    std::fs::write(&file, SCENARIO)?;
    let (file, out) = (file.display().to_string(), folder.path().display().to_string());

    let output = emulate(&simulator, &[&file, "--out", &out])?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if said.contains("no network namespace can be made here") || said.contains("another emulated mesh is up") {
        eprintln!("not run: {said}");
        return Ok(());
    }
    // Bounds are for quiet machines: whether they hold is not the question here.
    ensure!(matches!(output.status.code(), Some(0 | 1)), "{said}");
    let text = std::fs::read_to_string(folder.path().join("short.json"))?;
    let figures: Value = serde_json::from_str(&text)?;
    let both = |what: &str| {
        let mut rows = figures["rows"].as_array()?.iter();
        let row = rows.find(|row| row["what"].as_str().is_some_and(|text| text.starts_with(what)))?;
        Some((row["simulated"].as_f64()?, row["emulated"].as_f64()?))
    };
    let (simulated, emulated) = both("one way, p50").context(text.clone())?;
    assert!((emulated - simulated).abs() < 15.0, "one way {simulated} and {emulated} ms");
    let (simulated, emulated) = both("bytes, all links").context(text.clone())?;
    assert!((emulated / simulated - 1.0).abs() < 0.15, "{simulated} and {emulated} bytes");
    let (simulated, emulated) = both("lost by the network").context(text.clone())?;
    assert!(simulated > 0.0 && emulated > 0.0, "{simulated} and {emulated} packets lost");
    assert!(std::fs::read_to_string(folder.path().join("emulation.md"))?.contains("| `short` | one way, p50, ms |"));

    // A run that is interrupted, and one that is killed.
    let mut interrupted = Command::new(&simulator).arg("emulate").arg(&file).stdin(Stdio::null()).spawn()?;
    until(WAIT, || (namespaces().len() == 3).then_some(())).context("namespaces")?;
    // SAFETY: kill takes two integers; the child is not reaped yet.
    unsafe { libc::kill(interrupted.id().cast_signed(), libc::SIGINT) };
    assert_eq!(interrupted.wait()?.code(), Some(2));
    assert_eq!(namespaces(), Vec::<String>::new());
    let mut killed = Command::new(&simulator).arg("emulate").arg(&file).stdin(Stdio::null()).spawn()?;
    until(WAIT, || (namespaces().len() == 3).then_some(())).context("namespaces")?;
    killed.kill()?;
    killed.wait()?;
    assert_eq!(namespaces().len(), 3);
    let cleaned = emulate(&simulator, &["--clean"])?;
    assert!(String::from_utf8_lossy(&cleaned.stdout).starts_with("removed og-emu-brazilsouth, og-emu-eastus"));
    assert_eq!(namespaces(), Vec::<String>::new());
    Ok(())
}
