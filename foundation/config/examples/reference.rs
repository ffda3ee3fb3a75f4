//! Writes what is made from the schema: the sample configuration and the reference page.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::write(here.join("src/sample.toml"), moongate_config::reference::sample())?;
    std::fs::create_dir_all(here.join("../../docs/reference"))?;
    std::fs::write(here.join("../../docs/reference/configuration.md"), moongate_config::reference::markdown())
}
