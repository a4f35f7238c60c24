import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;

public class Crash_0d3aaa5243b807d84e248c247c80d07078fbbb5b {
    static final String base64Bytes = String.join("", "LS1iDQpDb250ZW50LURpc3Bvc2l0aW9uOiBmb3JtLWRhdGE7IG5hbWU9InByb21wdCINCg0KYSBiYWxsDQotLWINCkNvbnRlbnQtRGlzcG9zaXRpb246IGZvcm0tZGF0YTsgbmFtZT0ic3RlcHMiDQpDb250ZW50LVR5cGU6IHRleHQvcGxhaW47IGNoYXJzZXQ9dXRmLTgNCg0KMQ0KLS1iDQpDb250ZW50LURpc3Bvc2l0aW9uOiBmb3JtLWRhdGE7IG5hbWU9InNpemUiDQoNCjY0eDY0DQotLWINCkNvbnRlbnQtRGlzcG9zaXRpb246IGZvcm0tZGF0YTsgbmFtZT0iaW1hZ2UiOyBmaWxlbmFtZT0iLi4vYS5wbmciDQoNColQTkcNChoKAAAADUlIRFIAAAAIAAAACAgCAAAAS20p3AAAAE5pVFh0cGFyYW1ldGVycwAAAAAAYSDml6UgYmFsbApOZWdhdGl2ZSBwcm9tcHQ6IHgKU3RlcHM6IDQsIFNhbXBsZXI6IEV1bGVyLCBTZWVkOiA3THaTYAAAAAxJREFUeF5jYBgeAAAAyAABVIXjkwAAAABJRU5ErkJggg0KLS1iLS0NCg==");

    public static void main(String[] args) throws Throwable {
        Crash_0d3aaa5243b807d84e248c247c80d07078fbbb5b.class.getClassLoader().setDefaultAssertionStatus(true);
        try {
            Method fuzzerInitialize = io.github.asg4j.server.FuzzTarget$Jazzer.class.getMethod("fuzzerInitialize");
            fuzzerInitialize.invoke(null);
        } catch (NoSuchMethodException ignored) {
            try {
                Method fuzzerInitialize = io.github.asg4j.server.FuzzTarget$Jazzer.class.getMethod("fuzzerInitialize", String[].class);
                fuzzerInitialize.invoke(null, (Object) args);
            } catch (NoSuchMethodException ignored1) {
            } catch (IllegalAccessException | InvocationTargetException e) {
                e.printStackTrace();
                System.exit(1);
            }
        } catch (IllegalAccessException | InvocationTargetException e) {
            e.printStackTrace();
            System.exit(1);
        }
        byte[] input = java.util.Base64.getDecoder().decode(base64Bytes);
        io.github.asg4j.server.FuzzTarget$Jazzer.fuzzerTestOneInput(input);
    }
}