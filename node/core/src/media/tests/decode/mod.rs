//! What a viewer's decoder makes of a stream whose layers change at random: it is decoded by FFmpeg, which is to find
//! no fault, and each picture is compared with what was sent.

mod ffmpeg;
mod layered;
mod simulcast;
mod viewer;
