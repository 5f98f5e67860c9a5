//! FFmpeg as a child process: encodes, decodes, and brings every picture to one small size, so that they compare.

use std::io::Write;
use std::process::{Command, Stdio};

/// All pictures are compared at this size.
const WIDTH: usize = 160;
const HEIGHT: usize = 90;

/// A picture in shades of grey.
pub type Picture = Vec<u8>;

/// Runs FFmpeg on `input`; panics with what it says when it finds any fault.
pub fn run(arguments: &[&str], input: Vec<u8>) -> Vec<u8> {
    let mut child = Command::new("ffmpeg")
        .args(["-hide_banner", "-nostdin", "-loglevel", "warning"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("these tests need FFmpeg: scripts/deps installs it");
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        // FFmpeg may end before it has read all; what it says of that counts.
        stdin.write_all(&input).is_ok()
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let faults = ["rror", "orrupt", "nvalid", "onceal", "issing"];
    let fault = said.lines().find(|line| faults.iter().any(|fault| line.contains(fault)));
    assert!(output.status.success() && fault.is_none(), "ffmpeg {arguments:?} said: {said}");
    output.stdout
}

/// Decodes a stream in an IVF file and gives its pictures.
pub fn decode(decoder: &str, ivf: Vec<u8>) -> Vec<Picture> {
    let scale = format!("scale={WIDTH}:{HEIGHT}");
    let arguments =
        ["-xerror", "-err_detect", "explode", "-threads", "1", "-c:v", decoder, "-f", "ivf", "-i", "pipe:0"];
    let output = ["-vf", &scale, "-fps_mode", "passthrough", "-pix_fmt", "gray", "-f", "rawvideo", "pipe:1"];
    pictures(&run(&[&arguments[..], &output].concat(), ivf))
}

/// The pictures of a generated source.
pub fn generate(source: &str) -> Vec<Picture> {
    let scale = format!("scale={WIDTH}:{HEIGHT}");
    let arguments = ["-f", "lavfi", "-i", source, "-vf", &scale, "-pix_fmt", "gray", "-f", "rawvideo", "pipe:1"];
    pictures(&run(&arguments, Vec::new()))
}

fn pictures(raw: &[u8]) -> Vec<Picture> {
    raw.chunks_exact(WIDTH * HEIGHT).map(<[u8]>::to_vec).collect()
}

/// How alike two pictures are, in decibels: above 30 one has to look for the difference, below 20 something is torn.
pub fn psnr(one: &[u8], other: &[u8]) -> f64 {
    let squares: u64 = one.iter().zip(other).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum();
    let mean = squares as f64 / one.len() as f64;
    10.0 * (255.0 * 255.0 / mean.max(1e-9)).log10()
}

/// The frames of an IVF file.
pub fn read_ivf(file: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut rest = &file[32..];
    while rest.len() >= 12 {
        let length = u32::from_le_bytes(rest[..4].try_into().unwrap()) as usize;
        frames.push(rest[12..12 + length].to_vec());
        rest = &rest[12 + length..];
    }
    frames
}

/// An IVF file of frames, 30 a second.
pub fn write_ivf(fourcc: &[u8; 4], frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = b"DKIF\0\0\x20\0".to_vec();
    file.extend(fourcc);
    // Width and height are the frames' to say.
    file.extend([640_u16, 360].map(u16::to_le_bytes).concat());
    file.extend([30_u32, 1, frames.len() as u32, 0].map(u32::to_le_bytes).concat());
    for (time, frame) in (0_u64..).zip(frames) {
        file.extend((frame.len() as u32).to_le_bytes());
        file.extend(time.to_le_bytes());
        file.extend(frame);
    }
    file
}
