//! Makes the server's side of the protocol out of `proto/`.

#[cfg(feature = "serve")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = protox::compile(["streams.proto", "features.proto"], ["proto"])?;
    tonic_build::configure()
        .build_client(false)
        .compile_fds(files)?;
    Ok(())
}

#[cfg(not(feature = "serve"))]
fn main() {}
