#![allow(missing_docs)]
use composition::config::PlatformConfig;
fn main() {
    let mut layers = PlatformConfig::layers();
    for arg in std::env::args().skip(1) {
        layers = if arg.contains('=') {
            layers.set(arg)
        } else {
            layers.file(arg)
        };
    }
    match layers.load() {
        Ok(c) => println!("{}", c.explain()),
        Err(e) => println!("error: {e}"),
    }
}
