//! Generates messages, client and server from the .proto files. Needs no protoc: protox is a compiler in Rust.

use std::path::PathBuf;

use prost::Message;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=wisp");
    println!("cargo::rerun-if-changed=inference");
    let descriptors = protox::compile(["wisp/v1/inference.proto", "inference/grpc_service.proto"], ["."])?;
    let output = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets the output folder"));
    std::fs::write(output.join("descriptors.bin"), descriptors.encode_to_vec())?;
    // Tensors stay where the transport has put them, instead of being copied out of every message.
    tonic_prost_build::configure().bytes(".inference").compile_fds(descriptors)?;
    Ok(())
}
