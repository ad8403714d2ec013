// Compiles HLSL files with dxcompiler.dll, for `cargo xtask drivers`. Standard input has a path a
// line; for each that fails a line with the path, a tab, and the compiler's message.
#include <windows.h>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

// Of dxcapi.h, which comes with no package: the interfaces' first methods, in their order.
struct DxcBuffer {
    const void *data;
    SIZE_T size;
    UINT encoding;
};
struct Blob : IUnknown {
    virtual void *STDMETHODCALLTYPE GetBufferPointer() = 0;
    virtual SIZE_T STDMETHODCALLTYPE GetBufferSize() = 0;
};
struct OperationResult : IUnknown {
    virtual HRESULT STDMETHODCALLTYPE GetStatus(HRESULT *status) = 0;
    virtual HRESULT STDMETHODCALLTYPE GetResult(Blob **result) = 0;
    virtual HRESULT STDMETHODCALLTYPE GetErrorBuffer(Blob **errors) = 0;
};
struct Compiler3 : IUnknown {
    virtual HRESULT STDMETHODCALLTYPE Compile(const DxcBuffer *source, LPCWSTR *arguments,
                                              UINT32 count, void *includes, REFIID id,
                                              void **result) = 0;
};

static const GUID CLSID_COMPILER = {
    0x73e22d93, 0xe6ce, 0x47f3, {0xb5, 0xbf, 0xf0, 0x66, 0x4f, 0x39, 0xc1, 0xb0}};
static const GUID IID_COMPILER3 = {
    0x228b4687, 0x5a6a, 0x4730, {0x90, 0x0c, 0x97, 0x02, 0xb2, 0x20, 0x3f, 0x54}};
static const GUID IID_RESULT = {
    0x58346cda, 0xdde7, 0x4497, {0x94, 0x61, 0x6f, 0x87, 0xaf, 0x5e, 0x06, 0x59}};

// The function behind the last `[numthreads(…)]`: naga may rename `main`.
static std::wstring entry_point(const std::string &source) {
    size_t begin = source.find("void ", source.rfind("[numthreads("));
    if (begin == std::string::npos) return L"main";
    begin += 5;
    return std::wstring(source.begin() + begin, source.begin() + source.find('(', begin));
}

// What is wrong with a shader, if something is. The arguments are wgpu's.
static std::string failure(Compiler3 *compiler, const std::string &source) {
    const UINT UTF8 = 65001;
    std::wstring main = entry_point(source);
    LPCWSTR arguments[] = {L"-E",   main.c_str(),     L"-T",   L"cs_6_6",            L"-HV",
                           L"2018", L"-no-warnings", L"-Ges", L"-enable-16bit-types"};
    DxcBuffer buffer = {source.data(), source.size(), UTF8};
    OperationResult *result = nullptr;
    HRESULT called = compiler->Compile(&buffer, arguments, sizeof arguments / sizeof *arguments,
                                       nullptr, IID_RESULT, reinterpret_cast<void **>(&result));
    if (called) return "the call of the compiler failed";
    HRESULT status = 0;
    Blob *errors = nullptr;
    result->GetStatus(&status);
    result->GetErrorBuffer(&errors);
    std::string message;
    if (errors && errors->GetBufferSize())
        message.assign(static_cast<char *>(errors->GetBufferPointer()), errors->GetBufferSize());
    if (errors) errors->Release();
    result->Release();
    if (!status) return "";
    for (char &c : message)
        if (c == '\n' || c == '\r' || !c) c = ' ';
    return message.empty() ? "no message" : message.substr(0, 600);
}

int main() {
    HMODULE library = LoadLibraryA("dxcompiler.dll");
    if (!library) {
        std::cerr << "no dxcompiler.dll: error " << GetLastError() << "\n";
        return 1;
    }
    typedef HRESULT(WINAPI * Create)(REFIID, REFIID, void **);
    Create create = reinterpret_cast<Create>(
        reinterpret_cast<void *>(GetProcAddress(library, "DxcCreateInstance")));
    Compiler3 *compiler = nullptr;
    if (!create || create(CLSID_COMPILER, IID_COMPILER3, reinterpret_cast<void **>(&compiler))) {
        std::cerr << "dxcompiler.dll has no compiler\n";
        return 1;
    }
    std::string path;
    unsigned compiled = 0;
    while (std::getline(std::cin, path)) {
        if (!path.empty() && path.back() == '\r') path.pop_back();
        std::ifstream file(path, std::ios::binary);
        std::string source((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
        std::string why = file ? failure(compiler, source) : "no such file";
        if (!why.empty()) std::cout << path << "\t" << why << "\n";
        compiled++;
    }
    std::cout << "compiled " << compiled << std::endl;
    return 0;
}
