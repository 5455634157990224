//! The pins of OpenVINO: everything that reads and runs a model, in one folder.
//!
//! The wheel holds front ends for PyTorch, TensorFlow, PaddlePaddle, JAX and GGUF as well; manifests know none of those
//! formats, so they stay behind. All libraries look for each other in their own folder (`$ORIGIN`). The list of plugins
//! is compiled into `libopenvino`, so no `plugins.xml` is needed.

use super::{LibraryFile, NativeLibrary, PlatformWheel, pinned};

/// OpenVINO with its plugins for CPU, GPU and NPU; on `aarch64` for the CPU alone.
///
/// The GPU plugin needs `libOpenCL.so.1` and the driver of the system, the NPU plugin the driver of the system. Without them
/// their devices are not there, and the others work.
pub static OPENVINO: NativeLibrary = NativeLibrary {
    name: "openvino",
    version: "2026.4.1",
    wheels: &[
        PlatformWheel {
            os: "linux",
            arch: "x86_64",
            tag: "manylinux_2_28_x86_64",
            size_bytes: 59_130_756,
            sha256: pinned("2d22b1da03f7caf74df30e9f6417d0ab2f637e4a38e08e1dcd294d2c37407aaf"),
            library: lib(
                "libopenvino_c.so.2641",
                377_505,
                "d2d0836d422b21fc5da2739af0d6035df3fc6dd5e4756402eb848974edecf8a5",
            ),
            companions: LINUX_X86_64,
        },
        PlatformWheel {
            os: "linux",
            arch: "aarch64",
            tag: "manylinux_2_35_aarch64",
            size_bytes: 30_348_540,
            sha256: pinned("bea1eb3733c34ef331adc945da0ccda5937865031139073663be84c517ffda22"),
            library: lib(
                "libopenvino_c.so.2641",
                356_801,
                "dfb34063847add4fe0689583633e74b69d7844e9e5a4b085476b0861c0b28f51",
            ),
            companions: LINUX_AARCH64,
        },
        PlatformWheel {
            os: "macos",
            arch: "aarch64",
            tag: "macosx_11_0_arm64",
            size_bytes: 33_302_114,
            sha256: pinned("d3740853691ae4a9003bc3417a4625d848e2cc3251af4b815c59199b38be252a"),
            library: lib(
                "libopenvino_c.2641.dylib",
                422_352,
                "bddb3a260fd599c17efa258b97b6797dac1e164c25d059df170e8f9e22370a7e",
            ),
            companions: MACOS_AARCH64,
        },
    ],
};

static LINUX_X86_64: &[LibraryFile] = &[
    lib("cache.json", 8_840_377, "0b2ad2a99516a3411ce3fef274e8ae2880b41a6f00c9bac6768cd4a94b87c41c"),
    lib("libhwloc.so.15", 473_321, "e91be9f5bc1c87aadb08f2e19ebcb742979adda0a5434f72650a154e317e7fb1"),
    lib("libopenvino.so.2641", 20_526_937, "9b9a80ac1f18e07b13ed54459d9a865bcfe9dc170dbf8fe740c2974b85ecedc1"),
    lib(
        "libopenvino_auto_batch_plugin.so",
        265_129,
        "1e7102276dd42ef917078a09be4f1838c41c3611ca2e10c34fb7ea31f1fef561",
    ),
    lib("libopenvino_auto_plugin.so", 685_129, "3971fe197490e31479727aa761e8abc972f7967f67eaa39cac75859f1e19e017"),
    lib("libopenvino_hetero_plugin.so", 559_265, "387eec6f2341230ceb13e1cca0476fcee87ca0e9e2386e2a9db00e6cea8378a9"),
    lib(
        "libopenvino_intel_cpu_plugin.so",
        63_691_929,
        "6599e3dd300d047b5ed72f8e48101c5f312c25321f35f57f803641ff8372900b",
    ),
    lib(
        "libopenvino_intel_gpu_plugin.so",
        41_732_569,
        "e494cf8fb428f1fecfad35e2bac7b2fb24159ac6b13fe19027f0c4ae36374b33",
    ),
    lib(
        "libopenvino_intel_npu_plugin.so",
        10_595_337,
        "911ead691e0f96df5cac7202a74ab1b07a93f0167e404701c0d3548fadbc15e5",
    ),
    lib("libopenvino_ir_frontend.so.2641", 640_313, "554e9fd3d4a0fbc587c14379464b2324e24b8ea736cfb749ad2cd9e74dfc09e0"),
    lib(
        "libopenvino_onnx_frontend.so.2641",
        6_827_321,
        "82d499f5b5e8514def7aaa1ecd5a9f570542d33ae9d00a0077f707cccd0e0192",
    ),
    lib(
        "libopenvino_tensorflow_lite_frontend.so.2641",
        1_338_601,
        "37c15a95dad43623cbefa23fc23370bdc20e5c757ba35a04f846e8ac227a0ed6",
    ),
    lib("libtbb.so.12", 369_313, "ac9518497a4f2cb6729792730f145ee58367316031511923fef263c9ac81ca61"),
    lib("libtbbbind_2_5.so.3", 33_025, "179ebd1223abd20a461dc978f24090d7ef7c1308b8dff14e4adfe4a21d75543f"),
    lib("libtbbmalloc.so.2", 159_729, "0cccbdb4783bf190da19b34540fb7f749b0955ec1982d7ac8e5f398365399895"),
    LICENSE,
    ONEDNN_NOTICES,
    ONETBB_NOTICES,
    RUNTIME_NOTICES,
];

static LINUX_AARCH64: &[LibraryFile] = &[
    lib("libhwloc.so.15", 600_441, "1a676211ff976f372092cc7946f7283fd3cdf68a35710b841dfec07b2d1dbf1a"),
    lib("libopenvino.so.2641", 17_135_873, "4a4ce9bb19ab78288b36ff39cbfebf1307c6b1ffda953b0c2b32129a8e89f04a"),
    lib(
        "libopenvino_arm_cpu_plugin.so",
        44_571_169,
        "839cb0653151d0962e13a129b7b1ad2ffc700b5a1472e847cdcb83e523cf424e",
    ),
    lib(
        "libopenvino_auto_batch_plugin.so",
        286_185,
        "53545e72014ab268a3a02a50dd2c9d7d978fa55e712e05aa651512634fbc3fd0",
    ),
    lib("libopenvino_auto_plugin.so", 626_289, "eac9638b51bf4f9fe9652504de4179126b85f73a0ac0493487a8de6f910b7228"),
    lib("libopenvino_hetero_plugin.so", 551_809, "256a5db47e8a2a0dd9625532fb38c38d89f31dc8896299d8e6e17f6c4fdf3142"),
    lib("libopenvino_ir_frontend.so.2641", 554_009, "0c1e737e93e78b5ffaf854d830140d2d84046847e19cd5226a1aff1c56be4431"),
    lib(
        "libopenvino_onnx_frontend.so.2641",
        5_845_145,
        "2ea8eb7270401e9a1ccf4de9f5fc4bcb3177d00f431a8e9bfa24dfe19b7a4578",
    ),
    lib(
        "libopenvino_tensorflow_lite_frontend.so.2641",
        1_158_793,
        "ab826dc46c822a2af5922cd09dab50583ee412d63de3b935a987015f8bd29fda",
    ),
    lib("libtbb.so.12", 274_601, "07ad125a3e19dbc40cf74ea6d4bd4c67ad7df5aaff9611178eea99592bc7a921"),
    lib("libtbbbind_2_5.so.3", 134_961, "f9da5eebe1266d410886c5786a24aaa1bfc6359fffa74902b76466d6ea1f1138"),
    lib("libtbbmalloc.so.2", 200_449, "bca9902d8052b83cf3c23bed67504dfabe7880c6560a7d3de79b81bdb88ba17f"),
    LICENSE,
    ONEDNN_NOTICES,
    ONETBB_NOTICES,
    RUNTIME_NOTICES,
];

static MACOS_AARCH64: &[LibraryFile] = &[
    lib("libhwloc.dylib", 444_128, "a891a8a14b2d650b5a30292877c8d686b84cfc51aff83b6588c4b1c7729d262a"),
    lib("libopenvino.2641.dylib", 27_115_744, "6544d0ac0a41ba5f98ea33bca7dd36511f5a853a42525119b3325d2a77c0a821"),
    lib(
        "libopenvino_arm_cpu_plugin.so",
        70_403_408,
        "9492edf670e0b7828f7bd2438258350c7b83f696b9cded0d8098acc46c1c1f04",
    ),
    lib(
        "libopenvino_auto_batch_plugin.so",
        331_376,
        "19f2901463d2fff717ac90da7e09bd822a14924b8a5f1b92553a7a68d2a9e6b9",
    ),
    lib("libopenvino_auto_plugin.so", 843_832, "02f0961b8e97e731a8155c9b9f5caab297bb58b5bbbf33af0d2242f229cfc840"),
    lib("libopenvino_hetero_plugin.so", 743_760, "f7ff7f610c5b4f23e74bd25b1df769512d291c6afefacd1097532b344d80dca3"),
    lib(
        "libopenvino_ir_frontend.2641.dylib",
        705_104,
        "fa0a1782318da4a18da7e54bc1dcf118c93c154d4aa375b12e9e47d8b6f0acb0",
    ),
    lib(
        "libopenvino_onnx_frontend.2641.dylib",
        10_079_280,
        "15d385049cdc014f12aa6c03131cdd7ea74a0b5b3cb147e9a375454bc3b8dd58",
    ),
    lib(
        "libopenvino_tensorflow_lite_frontend.2641.dylib",
        2_190_688,
        "67c80de5859e1a1a0c5bd16b0aa6d3337b6475fe24eff6ab04516a78dfc7d842",
    ),
    lib("libtbb.12.dylib", 354_496, "7565828d6260b63eb6fc6ac32225be632b4bcaececb5174967313cad2e1001bf"),
    lib("libtbbbind_2_5.3.dylib", 65_520, "7fef729372edbf234ef77ff233533c1eb1aa9b906e1a0cd28324bcae7b7ccb64"),
    lib("libtbbmalloc.2.dylib", 127_120, "ea00ee92b6243994de38f9b6068747957be4fb63bb8279d62994efb1a668cc7c"),
    LICENSE,
    ONEDNN_NOTICES,
    ONETBB_NOTICES,
    RUNTIME_NOTICES,
];

const LICENSE: LibraryFile = LibraryFile {
    folder: "openvino-2026.4.1.dist-info/licenses/",
    name: "LICENSE",
    size_bytes: 11_357,
    sha256: pinned("c71d239df91726fc519c6eb72d318ec65820627232b2f796219e87dcf35d0ab4"),
};

const ONEDNN_NOTICES: LibraryFile = LibraryFile {
    folder: "openvino-2026.4.1.dist-info/licenses/licensing/",
    name: "onednn_third-party-programs.txt",
    size_bytes: 28_475,
    sha256: pinned("f1b16991dfe8488f3f5f07cccba575c31c91175a9f2c8d9e1569665f86e0b2f6"),
};

const ONETBB_NOTICES: LibraryFile = LibraryFile {
    folder: "openvino-2026.4.1.dist-info/licenses/licensing/",
    name: "onetbb_third-party-programs.txt",
    size_bytes: 46_979,
    sha256: pinned("b10997cc50652ba6ab365e3bc43e13057681cd4a56533b46171529bd249749f3"),
};

const RUNTIME_NOTICES: LibraryFile = LibraryFile {
    folder: "openvino-2026.4.1.dist-info/licenses/licensing/",
    name: "runtime-third-party-programs.txt",
    size_bytes: 120_451,
    sha256: pinned("caf4040a8c3043c9fdc7638ccc61078b40ce623e69e3bcd2bc544ae70a368b2f"),
};

const fn lib(name: &'static str, size_bytes: u64, sha256: &str) -> LibraryFile {
    LibraryFile { folder: "openvino/libs/", name, size_bytes, sha256: pinned(sha256) }
}
