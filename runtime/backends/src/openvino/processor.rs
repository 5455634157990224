//! What the processor computes in by itself.
//!
//! OpenVINO lists bf16 on every processor with AVX-512, and emulates it where there are no instructions for it: some twenty times
//! slower than f32, which nobody wants, and which takes minutes to prove.

use std::ffi::OsStr;

/// The variables by which oneDNN, and with it OpenVINO, uses no more of the processor than they name; the first that is set counts.
const ISA_VARIABLES: [&str; 2] = ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"];

/// The bounds below the instructions for bf16. Source: the documentation of oneDNN, "CPU Dispatcher Control".
const WITHOUT_BF16: [&str; 6] = ["SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI"];

/// Whether there are instructions for bf16, and they may be used.
pub(super) fn has_bf16() -> bool {
    let bound = ISA_VARIABLES.iter().find_map(std::env::var_os);
    has_instructions() && bound.is_none_or(|bound| reaches_bf16(&bound))
}

#[cfg(target_arch = "x86_64")]
fn has_instructions() -> bool {
    // Processors with AMX have the first as well.
    is_x86_feature_detected!("avx512bf16") || is_x86_feature_detected!("avxneconvert")
}

/// Other processors list what they have.
#[cfg(not(target_arch = "x86_64"))]
fn has_instructions() -> bool {
    true
}

fn reaches_bf16(bound: &OsStr) -> bool {
    !WITHOUT_BF16.iter().any(|name| bound.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_below_the_instructions_takes_them_away() {
        for (bound, expected) in [
            ("AVX512_CORE", false),
            ("avx2", false),
            ("AVX512_CORE_BF16", true),
            ("AVX512_CORE_AMX", true),
            ("DEFAULT", true),
        ] {
            assert_eq!(reaches_bf16(OsStr::new(bound)), expected, "{bound}");
        }
    }
}
