//! Writes the scripts that fuzzing begins with: `seeds CORPUS`, the folder with a folder for each target.

mod nn;
mod witx;

use std::path::Path;

use script::{Argument, Step, write};

/// Scripts by name.
type Scripts = Vec<(&'static str, Vec<Step>)>;

/// An address in the part of the guests' stack that they do not reach: many zeros follow, which are bytes, numbers or a name.
const ZEROS: Argument = Argument::Number(1024);

fn main() -> std::io::Result<()> {
    let Some(corpus) = std::env::args().nth(1) else {
        return Err(std::io::Error::other("usage: seeds CORPUS, such as runtime/fuzz/corpus"));
    };
    let targets = [
        ("witx_calls", [witx::inferences(), witx::handles(), witx::pointers()].concat()),
        ("wit_calls", [nn::inferences(), nn::failures(), nn::without_end()].concat()),
    ];
    for (target, scripts) in targets {
        let folder = Path::new(&corpus).join(target);
        std::fs::create_dir_all(&folder)?;
        for (name, steps) in scripts {
            // Whoever looks into what a script does sees the answer to its last call.
            let answer = Step::Print { offset: 0, length: 4 };
            std::fs::write(folder.join(name), write(&all([&steps, &[answer]])))?;
        }
    }
    Ok(())
}

/// Steps one after the other.
fn all<const N: usize>(parts: [&[Step]; N]) -> Vec<Step> {
    parts.concat()
}
