//! Which processor features this machine lacks.

/// Those of `features` that this processor is known to lack. A feature that this build has never heard of is not
/// decided here: code that uses it is tried in the probe.
pub fn missing_features(features: &[String]) -> Vec<&str> {
    let names = features.iter().map(String::as_str);
    names.filter(|name| has(name) == Some(false)).collect()
}

#[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
fn has(name: &str) -> Option<bool> {
    macro_rules! ask {
        ($($feature:tt)*) => {
            match name {
                $($feature => Some(std::arch::is_x86_feature_detected!($feature)),)*
                _ => None,
            }
        };
    }
    ask! {
        "sse3" "ssse3" "sse4.1" "sse4.2" "sse4a" "popcnt" "avx" "avx2" "fma" "f16c" "bmi1" "bmi2" "lzcnt" "movbe"
        "aes" "pclmulqdq" "sha" "rdrand" "rdseed" "adx" "cmpxchg16b" "gfni" "vaes" "vpclmulqdq" "avx512f"
        "avx512cd" "avx512bw" "avx512dq" "avx512vl" "avx512ifma" "avx512vbmi" "avx512vbmi2" "avx512vnni"
        "avx512bitalg" "avx512vpopcntdq" "avx512bf16" "avx512fp16"
    }
}

#[cfg(target_arch = "aarch64")]
fn has(name: &str) -> Option<bool> {
    macro_rules! ask {
        ($($feature:tt)*) => {
            match name {
                $($feature => Some(std::arch::is_aarch64_feature_detected!($feature)),)*
                _ => None,
            }
        };
    }
    ask! {
        "aes" "sha2" "sha3" "crc" "lse" "rdm" "dotprod" "fp16" "rcpc" "bf16" "i8mm" "sve" "sve2"
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64")))]
fn has(_name: &str) -> Option<bool> {
    None
}
