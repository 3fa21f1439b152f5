// A camera of live555: live555_camera NAME=FILE... [--user NAME:PASSWORD] [--tls CERTIFICATE KEY]
//
// Prints "ready PORT" when it listens, and serves each file of H.264 or H.265 (.264, .265; Annex B), read from
// its beginning by the first client and shared with the later ones. Over TLS, RTP is not encrypted once more.

#include <cstring>
#include <iostream>
#include <string>

#include "BasicUsageEnvironment.hh"
#include "liveMedia.hh"

static void add(UsageEnvironment& env, RTSPServer& server, std::string const& mount) {
  auto const at = mount.find('=');
  auto const name = mount.substr(0, at), file = mount.substr(at + 1);
  auto* session = ServerMediaSession::createNew(env, name.c_str(), name.c_str(), "camera");
  bool const h265 = file.size() > 4 && file.substr(file.size() - 4) == ".265";
  ServerMediaSubsession* video;
  if (h265) video = H265VideoFileServerMediaSubsession::createNew(env, file.c_str(), True);
  else video = H264VideoFileServerMediaSubsession::createNew(env, file.c_str(), True);
  session->addSubsession(video);
  server.addServerMediaSession(session);
}

int main(int count, char** words) {
  OutPacketBuffer::maxSize = 1 << 20;
  auto* env = BasicUsageEnvironment::createNew(*BasicTaskScheduler::createNew());
  UserAuthenticationDatabase* users = nullptr;
  char const* certificate = nullptr;
  char const* key = nullptr;
  int first = 1;
  for (; first < count && std::strncmp(words[first], "--", 2) == 0; ++first) {
    if (std::strcmp(words[first], "--user") == 0) {
      std::string const user = words[++first];
      users = new UserAuthenticationDatabase("LIVE555 Streaming Media");
      users->addUserRecord(user.substr(0, user.find(':')).c_str(), user.substr(user.find(':') + 1).c_str());
    } else {
      certificate = words[++first];
      key = words[++first];
    }
  }
  auto* server = RTSPServer::createNew(*env, Port(0), users);
  if (server == nullptr) {
    std::cerr << env->getResultMsg() << std::endl;
    return 1;
  }
  if (certificate != nullptr) server->setTLSState(certificate, key, False, False);
  for (; first < count; ++first) add(*env, *server, words[first]);
  std::string prefix = server->rtspURLPrefix();  // rtsp://ADDRESS:PORT/
  prefix.pop_back();
  std::cout << "ready " << prefix.substr(prefix.rfind(':') + 1) << std::endl;
  env->taskScheduler().doEventLoop();
}
