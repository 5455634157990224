//! The pins of ONNX Runtime: the CPU build, and the build with the CUDA provider.

use super::{LibraryFile, NativeLibrary, PlatformWheel, pinned};

/// ONNX Runtime, CPU build; 1.31.1 is the last version whose CUDA provider is published as well.
pub static ONNX_RUNTIME: NativeLibrary = NativeLibrary {
    name: "onnxruntime",
    version: "1.31.1",
    wheels: &[
        PlatformWheel {
            os: "linux",
            arch: "x86_64",
            tag: "manylinux_2_28_x86_64",
            size_bytes: 23_753_652,
            sha256: pinned("5752bd508126ae7c49894d3b9d2e83f0c3d487319246d04c444b393308d7ad7f"),
            library: lib(
                "libonnxruntime.so.1.31.1",
                29_352_200,
                "fc44112fbe06d7d689c57e11d3862031f64711007e4ee020f8eed5185fd2c1d3",
            ),
            companions: &[
                lib(
                    "libonnxruntime_providers_shared.so",
                    14_632,
                    "086ec1d5388f64153d9c63470d126693db9a182c8ce236d3a1119068471b8a0d",
                ),
                LICENSE,
                NOTICES,
            ],
        },
        PlatformWheel {
            os: "linux",
            arch: "aarch64",
            tag: "manylinux_2_28_aarch64",
            size_bytes: 21_413_526,
            sha256: pinned("da05378364c44d4407e463982d2bf8d5e4cfea873283757e48beeb41df97b7f3"),
            library: lib(
                "libonnxruntime.so.1.31.1",
                25_265_040,
                "8aa3b76b28c778a2b1dd660d34161adb1d508c9ccd04ff9dc80e26eca5df8467",
            ),
            companions: &[
                lib(
                    "libonnxruntime_providers_shared.so",
                    198_792,
                    "3b6be288fbfb7dff8770d08a23defdde18e8f7e0f5a2b344a0e5e238c999ea88",
                ),
                LICENSE,
                NOTICES,
            ],
        },
        PlatformWheel {
            os: "macos",
            arch: "aarch64",
            tag: "macosx_14_0_arm64",
            size_bytes: 20_871_676,
            sha256: pinned("60b6b69bfe580eab576cacc5d132a0e9cf2a37fcfd18d46dd191042b1d1ed0d7"),
            library: lib(
                "libonnxruntime.1.31.1.dylib",
                33_037_336,
                "f8b06155feece624e55e49124340eea279da812529ae6fbc46a9f2be9c9cad2e",
            ),
            companions: &[LICENSE, NOTICES],
        },
    ],
};

/// ONNX Runtime with the CUDA provider, of the same version.
///
/// The provider is loaded when a session asks for it, and needs on the loader's path (its `DT_NEEDED`): the driver
/// `libcuda.so.1`, and of CUDA 13 `libcudart.so.13`, `libcublas.so.13`, `libcublasLt.so.13` and `libcurand.so.10`. cuDNN 9,
/// cuFFT and NVRTC are not among them: it opens those by name when an operator wants them.
pub static ONNX_RUNTIME_CUDA: NativeLibrary = NativeLibrary {
    name: "onnxruntime-gpu",
    version: "1.31.1",
    wheels: &[
        PlatformWheel {
            os: "linux",
            arch: "x86_64",
            tag: "manylinux_2_28_x86_64",
            size_bytes: 255_560_985,
            sha256: pinned("e26c475fe361b2015f45b4b824bd13f0bb20204e59b62814e6f0acd5f3d491a6"),
            library: lib(
                "libonnxruntime.so.1.31.1",
                29_421_832,
                "5104254339ecadae808da771bd0b63b240f0dbd466514234905e54372435c303",
            ),
            companions: &[
                lib(
                    "libonnxruntime_providers_shared.so",
                    14_632,
                    "086ec1d5388f64153d9c63470d126693db9a182c8ce236d3a1119068471b8a0d",
                ),
                lib(
                    "libonnxruntime_providers_cuda.so",
                    284_014_752,
                    "d5290158115fa5569a3fe8f1f4037ee9b0e86658a96e52f852bbb7039aa88137",
                ),
                LICENSE,
                NOTICES,
            ],
        },
        PlatformWheel {
            os: "linux",
            arch: "aarch64",
            tag: "manylinux_2_34_aarch64",
            size_bytes: 212_349_085,
            sha256: pinned("dc878916611b8a816000ffedacc5f5988f77bb93bf9655ad20144ee3acb08e55"),
            library: lib(
                "libonnxruntime.so.1.31.1",
                25_002_552,
                "25430c15445a74ea480116a0da41533d83e59bceb1a18004c97e4873334afc90",
            ),
            companions: &[
                lib(
                    "libonnxruntime_providers_shared.so",
                    198_792,
                    "1fc9a38c51a15164ae7d126f4e89447e718e47bd0a934eaa1a86bb60a6ec4955",
                ),
                lib(
                    "libonnxruntime_providers_cuda.so",
                    237_922_800,
                    "c515e5d79bb863595e2892048bc82441ebd23c67f09059f9c7b966e7d7b953f8",
                ),
                LICENSE,
                NOTICES,
            ],
        },
    ],
};

const LICENSE: LibraryFile = LibraryFile {
    folder: "onnxruntime/",
    name: "LICENSE",
    size_bytes: 1_073,
    sha256: pinned("2f07c72751aed99790b8a4869cf2311df85a860b22ded05fa22803587a48922c"),
};

const NOTICES: LibraryFile = LibraryFile {
    folder: "onnxruntime/",
    name: "ThirdPartyNotices.txt",
    size_bytes: 338_088,
    sha256: pinned("143764b952fdb1a7c69ce653bfba74a7744d6a8a573bfb73e235fba356c83de3"),
};

const fn lib(name: &'static str, size_bytes: u64, sha256: &str) -> LibraryFile {
    LibraryFile { folder: "onnxruntime/capi/", name, size_bytes, sha256: pinned(sha256) }
}
