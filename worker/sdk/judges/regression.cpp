// The ready judge `regression`: the data source `dataset` is a folder that read_data_set()
// understands, with targets of float32. Parameters besides those of judge_regression():
// `validation`, the number of training examples held out (default: a tenth), and `probe`, the
// number of those kept for rungs (default: none, and so no early stopping).
#include <cambrian/supervised.hpp>

cambrian::Verdict cambrian::judge(Session& session) {
  return judge_regression(session, keep_data_set(session));
}
