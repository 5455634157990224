//! Generates messages, client and server from the .proto files. Needs no protoc: protox is a compiler in Rust.

use std::path::PathBuf;

use prost::Message;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=wisp");
    let descriptors = protox::compile(["wisp/v1/inference.proto"], ["."])?;
    let output = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets the output folder"));
    std::fs::write(output.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
